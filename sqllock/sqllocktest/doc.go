// Package sqllocktest is an in-memory dialect for tests of code that uses sqllock. It needs no
// server, driver or files, and it fails on demand.
//
// It keeps the same contract as the real engines and passes the same conformance suite, with one
// exception: it has no transactions, so [Dialect.Guard] ignores its transaction (which may be nil)
// and only reports whether the lock still belongs to the claim.
//
// Its clock is [time.Now], so hours of leases take no time inside a testing/synctest bubble. It
// starts no goroutines.
package sqllocktest
