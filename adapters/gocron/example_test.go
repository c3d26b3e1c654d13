package gocronlock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/sqllock"

	gocronlock "github.com/sqllock/sqllock/adapters/gocron"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "sqllock-gocron-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open("sqlite://" + filepath.Join(dir, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := migrations.Up(ctx, db, sqlitemigrations.Engine); err != nil {
		log.Fatal(err)
	}
	locks, err := sqllock.New(ctx, sqlite.New(db), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)

	// Longer than the hosts' clocks are apart, and shorter than the jobs' interval.
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
	a, b := host(), host() // each host has one; these two share a process
	fmt.Println(<-ran)
	if err := errors.Join(a.Shutdown(), b.Shutdown()); err != nil {
		log.Fatal(err)
	}
	// Output: the nightly report
}
