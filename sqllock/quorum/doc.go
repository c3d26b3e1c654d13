// Package quorum takes locks in several independent databases at once, on top of package sqllock. A
// lock is held as long as a majority of the databases says so.
//
// A program makes a Client for each database, and a [Quorum] of them with [New]:
//
//	q, err := quorum.New(ctx, []*sqllock.Client{a, b, c}, nil)
//	lock, err := q.Acquire(ctx, "report/nightly")
//
// # One acquisition
//
//	Acquire: asks all databases for their votes
//	   │
//	   │ a majority has voted: the lock's fence is the greatest of their fences
//	   ▼
//	the fence is written into the rows of the votes ──▶ too few: the votes are released, and
//	   │                                                Acquire asks again
//	   │ a majority has it
//	   ▼
//	held ──▶ lost, when fewer votes than a majority can be relied on
//	   │
//	   ▼
//	released
//
// A database that is new, or has lost its data, votes only after the longest TTL has passed: see
// [Options].MaxTTL. The file QUORUM.md in this package's folder says what a Quorum guarantees and
// what it doesn't.
package quorum
