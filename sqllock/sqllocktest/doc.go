// Package sqllocktest is an in-memory dialect for tests of code that uses sqllock: no server, no driver, no files,
// and faults on demand.
//
// It keeps the same contract as the real engines and runs the same conformance suite, with one exception: it has no
// transactions of the caller's, so Guard ignores the *sql.Tx (nil is fine) and answers only whether the lock is still
// the claim's.
//
// Its clock is time.Now, so inside a testing/synctest bubble hours of leases pass in no time. It starts no goroutine,
// and so leaves none behind.
package sqllocktest
