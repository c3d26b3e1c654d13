package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// contentionTables creates a page that readers read and writers write, and a table with a row for
// each caller that holds a permit. Both halves of the page are equal except during a write.
var contentionTables = []string{
	"CREATE TABLE page (a BIGINT NOT NULL, b BIGINT NOT NULL)",
	"INSERT INTO page (a, b) VALUES (0, 0)",
	"CREATE TABLE inside (permit BIGINT NOT NULL)",
}

// contentionArgs asks a worker to compete for locks for a while, with several goroutines.
type contentionArgs struct {
	Permits  int // of the semaphore; with 0 the worker reads and writes the page instead
	Routines int
	For      time.Duration
}

// contentionCounts counts the critical sections of each kind.
type contentionCounts struct{ Reads, Writes, Permits int64 }

var _ = handle("contend", (*worker).contend)

func (w *worker) contend(ctx context.Context, args contentionArgs) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, args.For)
	defer cancel()
	var reads, writes, permits atomic.Int64
	errs := make([]error, args.Routines)
	var routines sync.WaitGroup
	for i := range args.Routines {
		routines.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				switch {
				case args.Permits > 0:
					pool := lockArgs{Name: "pool", Permits: args.Permits}
					errs[i] = w.under(ctx, pool, &permits, w.enter(args.Permits))
				case rand.IntN(4) == 0:
					errs[i] = w.under(ctx, lockArgs{Name: "page", Writer: true}, &writes, w.writePage)
				default:
					errs[i] = w.under(ctx, lockArgs{Name: "page", Shared: true}, &reads, w.readPage)
				}
			}
		})
	}
	routines.Wait()
	return contentionCounts{reads.Load(), writes.Load(), permits.Load()}, errors.Join(errs...)
}

// under runs f while it holds the lock. It does nothing if ctx ends before the lock is acquired.
func (w *worker) under(ctx context.Context, args lockArgs, count *atomic.Int64, f func(context.Context) error) error {
	lock, err := locktest.Take(ctx, w.locks, args.Name, args.options()...)
	if err != nil {
		if ctx.Err() != nil {
			err = nil
		}
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err = f(ctx); err == nil {
		count.Add(1)
	}
	return errors.Join(err, lock.Release(ctx))
}

func (w *worker) half(ctx context.Context, which string) (n int64, err error) {
	err = w.target.DB.QueryRowContext(ctx, "SELECT "+which+" FROM page").Scan(&n)
	return n, err
}

func (w *worker) readPage(ctx context.Context) error {
	a, err := w.half(ctx, "a")
	if err != nil {
		return err
	}
	b, err := w.half(ctx, "b")
	if err == nil && a != b {
		err = fmt.Errorf("the page's halves are %d and %d: another process wrote while this one held the lock", a, b)
	}
	return err
}

func (w *worker) writePage(ctx context.Context) error {
	if err := w.readPage(ctx); err != nil {
		return err
	}
	n, err := w.half(ctx, "a")
	for _, which := range []string{"a", "b"} {
		if err == nil {
			_, err = w.target.DB.ExecContext(ctx, fmt.Sprintf("UPDATE page SET %s = %d", which, n+1))
		}
	}
	return err
}

// enter returns a critical section that fails if more than most callers are in it at a time.
func (w *worker) enter(most int) func(context.Context) error {
	return func(ctx context.Context) error {
		id := rand.Int64()
		_, err := w.target.DB.ExecContext(ctx, fmt.Sprintf("INSERT INTO inside (permit) VALUES (%d)", id))
		if err != nil {
			return err
		}
		var n int
		err = w.target.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM inside").Scan(&n)
		if err == nil && (n < 1 || n > most) {
			err = fmt.Errorf("%d callers hold one of %d permits at a time", n, most)
		}
		_, left := w.target.DB.ExecContext(ctx, fmt.Sprintf("DELETE FROM inside WHERE permit = %d", id))
		return errors.Join(err, left)
	}
}

// runContention runs the command in three processes at once, and returns the sum of their counts.
func runContention(t *testing.T, url string, args contentionArgs) (all contentionCounts) {
	t.Helper()
	var workers []*process
	var done []<-chan message
	for i := range 3 {
		workers = append(workers, start(t, setup{URL: url, Holder: fmt.Sprint("worker ", i), ReapEvery: -1}, nil))
	}
	for _, p := range workers {
		d, err := p.send("contend", args)
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, d)
	}
	for i, p := range workers {
		n, err := receive[contentionCounts](p, "contend", done[i], stepTimeout)
		if err != nil {
			t.Error(err)
		}
		all = contentionCounts{all.Reads + n.Reads, all.Writes + n.Writes, all.Permits + n.Permits}
	}
	return all
}
