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

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	lockName = "demo/ledger"
	ttl      = 2 * time.Second
)

// event is what a worker tells the director, one line of JSON each.
type event struct {
	Worker int64
	Job    int64
	Fence  int64
	What   string
	Detail string `json:",omitempty"`
}

// What a worker can tell.
const (
	holds   = "holds the lock"
	wrote   = "wrote its line"
	refused = "was refused"
	trouble = "has trouble"
	left    = "left"
)

// work is one worker's life: take the lock, do a job, write it down, until ctx ends.
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

	tell := json.NewEncoder(out)
	for n := int64(1); ctx.Err() == nil; n++ {
		e := event{Worker: id, Job: n, What: wrote}
		committed := false
		err := locks.Do(ctx, lockName, func(_ context.Context, lock *sqllock.Lock) error {
			e.Fence = lock.Fence()
			_ = tell.Encode(event{Worker: id, Job: n, Fence: e.Fence, What: holds})
			err := doJob(target, lock, entry{worker: id, job: n, fence: e.Fence})
			committed = err == nil
			return err
		})
		switch {
		case committed: // whatever became of the lock afterwards
		case errors.Is(err, sqllock.ErrLost):
			e.What, e.Detail = refused, err.Error()
		case err != nil && ctx.Err() == nil:
			e.What, e.Detail = trouble, err.Error()
		case err != nil:
			continue
		}
		if err := tell.Encode(e); err != nil {
			return fmt.Errorf("the director is gone: %w", err)
		}
		time.Sleep(rand.N(100 * time.Millisecond)) // there is no order between processes: let others have a go
	}
	return tell.Encode(event{Worker: id, What: left})
}

// doJob reads the ledger, thinks, and writes the next line. It never looks at the lock's context: it stands for
// the program that was paused just before its write. The guard is what keeps it from doing harm.
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
