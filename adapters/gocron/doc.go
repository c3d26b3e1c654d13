// Package gocronlock lets schedulers of github.com/go-co-op/gocron/v2 on several hosts share their
// jobs. With a [Locker] each job runs on one host at a time. With an [Elector] one host runs all
// jobs.
//
// # Clocks of the hosts
//
// If the clocks of the hosts differ, a quick job may be done on one host before another host's
// scheduler starts it, and then runs there again. gocron documents this for all lockers. There are
// two remedies:
//
//   - Give the Locker [sqllock.HoldAtLeast] with a time that is longer than the clocks differ and
//     shorter than the interval of the jobs.
//   - If the job knows the time that it is scheduled for, let it call
//     [github.com/sqllock/sqllock/sqllock/once.RunOccurrence].
package gocronlock
