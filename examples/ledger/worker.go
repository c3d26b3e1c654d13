//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	lockName = "demo/ledger"
	ttl      = 2 * time.Second
)

// The lines that a worker prints begin with one of these. The fence and the job's number follow.
const (
	holds   = "holds the lock  "
	wrote   = "wrote its line  "
	refused = "REFUSED by Guard"
)

// event is what such a line says.
type event struct {
	what  string
	fence int64
	job   job
}

func (e event) String() string {
	return fmt.Sprintf("%s  fence %d, job %d", e.what, e.fence, e.job.number)
}

// parse returns the zero event for any other line.
func parse(l demo.Line) event {
	for _, what := range []string{holds, wrote, refused} {
		e := event{what: what}
		rest, ok := strings.CutPrefix(l.Text, what)
		if ok {
			_, err := fmt.Sscanf(l.Name+rest, "worker %d fence %d, job %d", &e.job.worker, &e.fence, &e.job.number)
			if err == nil {
				return e
			}
		}
	}
	return event{}
}

// work runs one worker: it takes the lock, does a job, and writes it down, until ctx ends.
func work(ctx context.Context, number string, out io.Writer) error {
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return err
	}
	database, err := demo.OpenDatabase()
	if err != nil {
		return err
	}
	defer database.DB.Close()
	locks, err := sqllock.New(ctx, database.Dialect, &sqllock.Options{
		TTL: ttl, Holder: "worker " + number, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)

	for n := int64(1); ctx.Err() == nil; n++ {
		e := event{what: wrote, job: job{id, n}}
		committed := false
		err := locks.Do(ctx, lockName, func(_ context.Context, lock *sqllock.Lock) error {
			e.fence = lock.Fence()
			fmt.Fprintln(out, event{holds, e.fence, e.job})
			err := doJob(database.DB, lock, e.job)
			committed = err == nil
			return err
		})
		switch {
		case committed: // also if the lock was lost afterwards
			fmt.Fprintln(out, e)
		case errors.Is(err, sqllock.ErrLost):
			fmt.Fprintf(out, "%s: %v\n", event{refused, e.fence, e.job}, err)
		case err != nil && ctx.Err() == nil:
			fmt.Fprintln(out, "has trouble:", err)
		}
		time.Sleep(rand.N(100 * time.Millisecond)) // processes get the lock in no order: give the others a chance
	}
	fmt.Fprintln(out, "has ended")
	return nil
}

// doJob reads the ledger, thinks, and writes the next line. It never checks the lock's context: it
// stands for a program that was paused right before its write. Only the guard keeps it from doing
// harm.
func doJob(db *sql.DB, lock *sqllock.Lock, j job) error {
	ctx := context.Background()
	before, err := last(ctx, db)
	if err != nil {
		return err
	}
	e := entry{
		id: before.id + 1, previous: before.id, job: j, fence: lock.Fence(), balance: before.balance + j.number,
	}

	time.Sleep(100*time.Millisecond + rand.N(100*time.Millisecond))

	tx, err := db.BeginTx(ctx, nil)
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
