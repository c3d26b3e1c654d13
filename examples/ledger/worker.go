//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	lockName = "demo/ledger"
	ttl      = 2 * time.Second
)

// event is a report of a worker to the demo, one line of JSON each.
type event struct {
	Worker int64
	Job    int64
	Fence  int64
	What   string
	Detail string `json:",omitempty"`
}

// The events of a worker.
const (
	holds   = "holds the lock"
	wrote   = "wrote its line"
	refused = "was refused"
	trouble = "has trouble"
	exited  = "left"
)

// work runs one worker: it takes the lock, does a job, and writes it down, until ctx ends.
func work(ctx context.Context, url, number string, out io.Writer) error {
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return err
	}
	target, err := open.URL(url)
	if err != nil {
		return err
	}
	defer target.DB.Close()
	locks, err := sqllock.New(ctx, target.Dialect, &sqllock.Options{
		TTL: ttl, Holder: "worker " + number, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)

	events := json.NewEncoder(out)
	for n := int64(1); ctx.Err() == nil; n++ {
		e := event{Worker: id, Job: n, What: wrote}
		committed := false
		err := locks.Do(ctx, lockName, func(_ context.Context, lock *sqllock.Lock) error {
			e.Fence = lock.Fence()
			_ = events.Encode(event{Worker: id, Job: n, Fence: e.Fence, What: holds})
			err := doJob(target, lock, entry{worker: id, job: n, fence: e.Fence})
			committed = err == nil
			return err
		})
		switch {
		case committed: // also if the lock was lost afterwards
		case errors.Is(err, sqllock.ErrLost):
			e.What, e.Detail = refused, err.Error()
		case err != nil && ctx.Err() == nil:
			e.What, e.Detail = trouble, err.Error()
		case err != nil:
			continue
		}
		if err := events.Encode(e); err != nil {
			return fmt.Errorf("can't report to the demo: %w", err)
		}
		time.Sleep(rand.N(100 * time.Millisecond)) // processes get the lock in no order: give the others a chance
	}
	return events.Encode(event{Worker: id, What: exited})
}

// doJob reads the ledger, thinks, and writes the next line. It never checks the lock's context: it
// stands for a program that was paused right before its write. Only the guard keeps it from doing
// harm.
func doJob(target *open.Database, lock *sqllock.Lock, e entry) error {
	ctx := context.Background()
	l := &ledger{db: target.DB}
	last, err := l.last(ctx)
	if err != nil {
		return err
	}
	e.id, e.previous, e.balance = last.id+1, last.id, last.balance+e.job

	time.Sleep(100*time.Millisecond + rand.N(100*time.Millisecond))

	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := e.add(ctx, tx); err != nil {
		return err
	}
	if err := lock.Guard(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}
