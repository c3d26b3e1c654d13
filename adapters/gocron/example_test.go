package gocronlock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/go-co-op/gocron/v2"

	gocronlock "github.com/sqllock/sqllock/adapters/gocron"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func Example() {
	ctx := context.Background()
	locks, err := sqllock.New(ctx, sqllocktest.New(), nil) // postgres.New(db), mysql.New(db), … in a program
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)

	// Longer than the hosts' clocks differ, and shorter than the jobs' interval.
	locker, err := gocronlock.NewLocker(locks, sqllock.HoldAtLeast(30*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	ran := make(chan string)
	host := func() gocron.Scheduler {
		scheduler, err := gocron.NewScheduler(gocron.WithDistributedLocker(locker))
		if err != nil {
			log.Fatal(err)
		}
		_, err = scheduler.NewJob(gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()),
			gocron.NewTask(func() { ran <- "the nightly report" }), gocron.WithName("report/nightly"))
		if err != nil {
			log.Fatal(err)
		}
		scheduler.Start()
		return scheduler
	}
	a, b := host(), host() // normally on two hosts; here both are in one process
	fmt.Println(<-ran)
	if err := errors.Join(a.Shutdown(), b.Shutdown()); err != nil {
		log.Fatal(err)
	}
	// Output: the nightly report
}
