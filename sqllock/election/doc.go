// Package election lets processes elect one of them as the leader, on top of package sqllock.
//
// A program makes an [Election] with [New] and calls [Election.Run]:
//
//	e, err := election.New(locks, "scheduler")
//	err = e.Run(ctx, func(ctx context.Context, term *election.Term) error {
//		// ... what only the leader does, until ctx ends ...
//	})
//
// # States
//
// A process that takes part in an election is in one of these states:
//
//	           Campaign                        wins the lock
//	stands by ───────────▶ is a candidate ──────────────────────▶ leads
//	    ▲                     │      ▲                              │
//	    │ ctx ends            │      │ another candidate is to lead │
//	    ├─────────────────────┘      └──────────────────────────────┤
//	    │                                                           │
//	    └───────────────────────────────────────────────────────────┘
//	      resigns, loses its lease, or hands over
//
// The leader holds the election's lock, which is a row like that of any other lock, under a lease.
// So everything that is true of a lease lock is true of the lead: [Term.Context] ends before
// anybody else can lead, [Term.Number] is a fencing token, and [Term.Guard] ties the term to a
// transaction.
//
// # Handing over
//
// A deploy should not wait for a lease to expire, and one old process should not be followed by
// another one as the leader. The new process campaigns, waits until it is in the queue
// ([OnQueued]), and calls [Election.HandOverTo] with its own name. The leader finishes its work and
// resigns; all other candidates that win meanwhile yield to the named one. With [Priority], the
// lead moves to a newer version by itself.
package election
