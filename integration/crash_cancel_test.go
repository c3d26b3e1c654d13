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

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

const stormTTL = 10 * time.Second

// Callers give up at random moments, hundreds of times at once: nothing is left held while the Client lives on, and
// neither a goroutine nor a connection when it is closed.
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
			t.Error("too few got the lock, or gave up, for this to show anything")
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

// storm is run in a worker without a Client.
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
				got, guarded, err := gust(ctx, target, locks, name, cycle)
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

// gust is one caller, whose ctx ends soon, wherever it is by then. cycle is how long it takes to acquire and release.
func gust(ctx context.Context, target *open.Database, locks *sqllock.Client, name string, cycle time.Duration) (got, guarded bool, err error) {
	limit := 2 * cycle // mostly before it gets the lock
	if rand.IntN(2) == 0 {
		limit = max(20*cycle, 300*time.Millisecond) // mostly after that
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
			return false, false, fmt.Errorf("acquire, and ctx had not ended: %w", err)
		}
		if !errors.Is(err, sqllock.ErrNotAcquired) {
			return false, false, fmt.Errorf("acquire, and it doesn't say so: %w", err)
		}
		return false, false, nil
	}
	if rand.IntN(2) == 0 {
		guarded = guardUnder(ctx, target, lock)
	}
	if err := lock.Release(ctx); err != nil { // which must work though ctx has ended
		return true, guarded, fmt.Errorf("release: %w", err)
	}
	return true, guarded, nil
}

// guardUnder does a guarded transaction that may be cut short.
func guardUnder(ctx context.Context, target *open.Database, lock *sqllock.Lock) bool {
	tx, err := target.DB.BeginTx(ctx, nil)
	if err != nil {
		return false
	}
	defer tx.Rollback()
	return lock.Guard(ctx, tx) == nil && tx.Commit() == nil
}
