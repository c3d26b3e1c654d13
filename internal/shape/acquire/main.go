// Command acquire takes one uncontended lock, and writes which functions that entered.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/coverage"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func main() {
	if err := acquire(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func acquire(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	locks, err := sqllock.New(ctx, sqllocktest.New(), &sqllock.Options{ReapEvery: -1})
	if err != nil {
		return err
	}
	warm, err := locks.Acquire(ctx, "warm") // opens the lease
	if err != nil {
		return err
	}
	time.Sleep(20 * time.Millisecond) // for the heartbeat's goroutine to begin
	if err := coverage.ClearCounters(); err != nil {
		return err
	}
	lock, err := locks.Acquire(ctx, "lock")
	if err != nil {
		return err
	}
	if err := coverage.WriteMetaDir(dir); err != nil {
		return err
	}
	if err := coverage.WriteCountersDir(dir); err != nil {
		return err
	}
	return errors.Join(lock.Release(ctx), warm.Release(ctx), locks.Close(ctx))
}
