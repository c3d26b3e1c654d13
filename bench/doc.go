// Package bench compares the speed and cost of sqllock with those of what a user would use instead,
// on private servers with durable commits, in one run. `make bench`, in the folder above, writes
// RESULTS.md and the plots beside it.
//
// The benchmark is this package's test, because the servers of integration/servers start and end
// with a test. Without settings, as in CI, it is a smoke run of a few seconds, which only shows
// that everything still works. The settings are environment variables:
//
//	BENCH_OUT      folder for the results; selects the full sizes. If empty: a smoke run
//	BENCH_ROUND    how long one figure is measured in one round ("400ms")
//	BENCH_ROUNDS   how many rounds; in each all contenders are measured in turn
//	BENCH_ONLY     only matching sections and contenders: "cycles|handover",
//	               "cycles/(sqllock|redislock)"
//
// The contenders are in package lockers, the statistics in package report.
package bench
