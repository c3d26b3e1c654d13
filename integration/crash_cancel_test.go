package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

const stormTTL = 10 * time.Second

// Hundreds of callers give up at random moments. No lock stays held while the Client lives on, and
// neither a goroutine nor a connection is left after it is closed.
func TestCancelled(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		p := start(t, setup{}, nil)
		r := must[stormReport](p, "storm", stormArgs{URL: url, Calls: 800, Routines: 16, Names: 4})
		t.Logf("%d calls: %d got the lock, %d of them guarded with it, %d gave up; no lock was held %s later",
			r.Got+r.GaveUp, r.Got, r.Guarded, r.GaveUp, r.Emptied.Round(time.Millisecond))
		for _, problem := range r.Problems {
			t.Error(problem)
		}
		if r.Got < 10 || r.GaveUp < 100 {
			t.Error("too few callers got the lock, or too few gave up, for this to show anything")
		}
	})
}

type stormArgs struct {
	URL                    string
	Calls, Routines, Names int
}

type stormReport struct {
	Got, Guarded, GaveUp int
	Emptied              time.Duration
	Problems             []string
}

var _ = handle("storm", storm)

// storm runs in a worker that has no Client of its own.
func storm(_ *worker, ctx context.Context, args stormArgs) (any, error) {
	before := goleak.IgnoreCurrent()
	target, err := open.URL(args.URL)
	if err != nil {
		return nil, err
	}
	locks, err := sqllock.New(ctx, target.Dialect, &sqllock.Options{TTL: stormTTL, ReapEvery: -1})
	if err != nil {
		return nil, err
	}
	began := time.Now()
	const cycles = 10
	for range cycles {
		lock, err := locks.Acquire(ctx, "storm/0")
		if err == nil {
			err = lock.Release(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	cycle := time.Since(began) / cycles
	var (
		routines sync.WaitGroup
		mu       sync.Mutex
		r        stormReport
	)
	for range args.Routines {
		routines.Go(func() {
			for range args.Calls / args.Routines {
				name := fmt.Sprintf("storm/%d", rand.IntN(args.Names))
				got, guarded, err := callUntilCanceled(ctx, target, locks, name, cycle)
				mu.Lock()
				if err != nil {
					r.Problems = append(r.Problems, err.Error())
				}
				r.Got, r.Guarded, r.GaveUp = r.Got+btoi(got), r.Guarded+btoi(guarded), r.GaveUp+btoi(!got)
				mu.Unlock()
			}
		})
	}
	routines.Wait()
	problem := func(what string, err error) {
		if err != nil {
			r.Problems = append(r.Problems, what+": "+err.Error())
		}
	}
	r.Emptied, err = emptied(ctx, locks, stormTTL)
	problem("locks", err)
	problem("Close", locks.Close(ctx))
	problem("left behind", cleared(target.DB, before))
	return r, nil
}

// callUntilCanceled makes one call whose ctx ends after a short random time, wherever the call is
// by then. cycle is how long it takes to acquire and release a lock.
func callUntilCanceled(
	ctx context.Context, target *open.Database, locks *sqllock.Client, name string, cycle time.Duration,
) (got, guarded bool, err error) {
	limit := 2 * cycle // ctx mostly ends before the call gets the lock
	if rand.IntN(2) == 0 {
		limit = max(20*cycle, 300*time.Millisecond) // ctx mostly ends after that
	}
	ctx, cancel := context.WithTimeout(ctx, rand.N(limit))
	defer cancel()
	take := locks.Acquire
	if rand.IntN(4) == 0 {
		take = locks.TryAcquire
	}
	lock, err := take(ctx, name)
	if err != nil {
		if held := (*sqllock.HeldError)(nil); ctx.Err() == nil && !errors.As(err, &held) {
			return false, false, fmt.Errorf("acquiring failed although ctx had not ended: %w", err)
		}
		if !errors.Is(err, sqllock.ErrNotAcquired) {
			return false, false, fmt.Errorf("acquiring failed with an error that is not ErrNotAcquired: %w", err)
		}
		return false, false, nil
	}
	if rand.IntN(2) == 0 {
		guarded = guardUnder(ctx, target, lock)
	}
	if err := lock.Release(ctx); err != nil { // Release must work even after ctx has ended
		return true, guarded, fmt.Errorf("release: %w", err)
	}
	return true, guarded, nil
}

// guardUnder reports whether a guarded transaction has committed. The end of ctx may cut it short.
func guardUnder(ctx context.Context, target *open.Database, lock *sqllock.Lock) bool {
	tx, err := target.DB.BeginTx(ctx, nil)
	if err != nil {
		return false
	}
	defer tx.Rollback()
	return lock.Guard(ctx, tx) == nil && tx.Commit() == nil
}
