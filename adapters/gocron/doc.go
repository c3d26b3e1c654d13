// Package gocronlock lets schedulers of github.com/go-co-op/gocron/v2 on several hosts share their jobs. With a Locker each job
// runs on one host at a time; with an Elector one host runs all of them.
//
// Where the clocks of hosts are apart, a quick job may be done on one host before another comes to it, and run there once more:
// gocron says so of all lockers. Give the Locker sqllock.HoldAtLeast with a time that is longer than clocks are apart and shorter
// than the interval of the jobs. Or let the job itself call RunOccurrence, where it knows the time that it is scheduled for.
package gocronlock
