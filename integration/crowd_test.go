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
)

// A page is what readers read and writers write: both halves say the same unless somebody writes. Inside is who holds a permit.
var crowdTables = []string{
	"CREATE TABLE page (a BIGINT NOT NULL, b BIGINT NOT NULL)",
	"INSERT INTO page (a, b) VALUES (0, 0)",
	"CREATE TABLE inside (permit BIGINT NOT NULL)",
}

// crowdArgs asks a worker to do so for a while, with some goroutines.
type crowdArgs struct {
	Permits  int // of the semaphore; none: it reads and writes
	Routines int
	For      time.Duration
}

// crowdCounts is how often it did.
type crowdCounts struct{ Reads, Writes, Permits int64 }

var _ = handle("crowd", (*worker).crowd)

func (w *worker) crowd(ctx context.Context, args crowdArgs) (any, error) {
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
					errs[i] = w.under(ctx, lockArgs{Name: "pool", Permits: args.Permits}, &permits, w.enter(args.Permits))
				case rand.IntN(4) == 0:
					errs[i] = w.under(ctx, lockArgs{Name: "page"}, &writes, w.writePage)
				default:
					errs[i] = w.under(ctx, lockArgs{Name: "page", Shared: true}, &reads, w.readPage)
				}
			}
		})
	}
	routines.Wait()
	return crowdCounts{reads.Load(), writes.Load(), permits.Load()}, errors.Join(errs...)
}

// under does f under a lock, if there is one before ctx ends.
func (w *worker) under(ctx context.Context, args lockArgs, count *atomic.Int64, f func(context.Context) error) error {
	lock, err := w.locks.Acquire(ctx, args.Name, args.options()...)
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
		err = fmt.Errorf("read %d and %d: somebody wrote meanwhile", a, b)
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

func (w *worker) enter(most int) func(context.Context) error {
	return func(ctx context.Context) error {
		id := rand.Int64()
		if _, err := w.target.DB.ExecContext(ctx, fmt.Sprintf("INSERT INTO inside (permit) VALUES (%d)", id)); err != nil {
			return err
		}
		var n int
		err := w.target.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM inside").Scan(&n)
		if err == nil && (n < 1 || n > most) {
			err = fmt.Errorf("%d inside at a time", n)
		}
		_, left := w.target.DB.ExecContext(ctx, fmt.Sprintf("DELETE FROM inside WHERE permit = %d", id))
		return errors.Join(err, left)
	}
}

// crowds lets three processes do so, and answers what they did together.
func crowds(t *testing.T, url string, args crowdArgs) (all crowdCounts) {
	t.Helper()
	var workers []*process
	var done []<-chan message
	for i := range 3 {
		workers = append(workers, start(t, setup{URL: url, Holder: fmt.Sprint("worker ", i), ReapEvery: -1}, nil))
	}
	for _, p := range workers {
		d, err := p.send("crowd", args)
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, d)
	}
	for i, p := range workers {
		n, err := hear[crowdCounts](p, "crowd", done[i], patience)
		if err != nil {
			t.Error(err)
		}
		all = crowdCounts{all.Reads + n.Reads, all.Writes + n.Writes, all.Permits + n.Permits}
	}
	return all
}
