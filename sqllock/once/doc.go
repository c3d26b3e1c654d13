// Package once does the work for a key until it has succeeded once, and remembers its outcome, on
// top of package sqllock.
//
//   - [Do] does the work under a lock. Callers of the same key wait for it, in any process, and get
//     the outcome that it had.
//   - [DoTx] does the work in the caller's transaction, in which the outcome commits too. A message
//     that is delivered twice is then handled once, whenever a process is killed.
//   - [RunOccurrence] runs a scheduled job once for each time that it is scheduled for.
//
// # States of a key
//
//	not done ──▶ in progress, when fn begins ──▶ done, when fn succeeds: callers get the outcome
//	   ▲                 │                          │
//	   ├─────────────────┘ fn fails, or its         │
//	   │                   lease expires            │
//	   └────────────────────────────────────────────┘ after as long as Keep says
//
// The outcome is one row of sqllock_outcomes, and the first one that is written wins. So if the
// work was done twice after all, because a process was paused for longer than its lease, every
// caller gets the same outcome.
package once
