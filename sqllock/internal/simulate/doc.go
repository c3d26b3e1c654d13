// Package simulate attacks the core of sqllock in simulated time. Its tests run several processes,
// each a real Client, on one database in memory, in a testing/synctest bubble. Between each process
// and the database is a link, on which everything goes wrong that can go wrong on a network and in
// a database: requests and replies are lost, come late or twice, the database stands still or
// fails, pools are exhausted. Processes are stopped, killed and restarted, callers leave at any
// moment, and clocks step and run at different speeds.
//
// A schedule says what happens when. It is made from a seed, so it can be printed, repeated and
// shortened. While it runs, a ledger checks the invariants at every grant and while locks are held.
// When the faults have stopped, everybody has to get on within a stated time, and nothing may be
// left: no held row, no waiter, no goroutine.
//
// As part of `go test`, a few rounds run with the ordinary runtime, whose goroutines interleave at
// random. `make simulate` builds the tests with the tag simulate and an overlay (see
// internal/simulate in the main module) that takes all randomness from the seed. The same seed then
// gives the same run.
package simulate
