// Package bench measures sqllock side by side with what a user would pick instead, on private servers with durable
// commits, in one run: make bench, in the folder above, writes RESULTS.md and the plots beside it.
//
// The benchmark is this package's test, since the servers of integration/servers live and die with a test. Without
// settings, as in CI, it is a smoke run of a few seconds that shows only that everything still works.
//
//	BENCH_OUT      folder for the results; the sizes are then the full ones. Empty: a smoke run
//	BENCH_ROUND    how long one figure is measured in one round ("400ms")
//	BENCH_ROUNDS   how many rounds, each with all the contenders in turn
//	BENCH_ONLY     only sections and contenders that match: "cycles|handover", "cycles/(sqllock|redislock)"
//
// lockers has the contenders, report the statistics.
package bench
