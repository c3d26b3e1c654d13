package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	manyLocks    = 1000
	manyTTL      = 9 * time.Second
	manyInterval = manyTTL / 3 // between heartbeats
)

// countHeartbeats has triggers that make the server count the updates of leases, in the test's own
// table.
var countHeartbeats = map[string][]string{
	"sqlite": {`CREATE TRIGGER heartbeat AFTER UPDATE ON sqllock_leases BEGIN UPDATE heartbeats SET n = n + 1; END`},
	"postgres": {
		`CREATE FUNCTION heartbeat() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN UPDATE heartbeats SET n = n + 1; RETURN NULL; END'`,
		`CREATE TRIGGER heartbeat AFTER UPDATE ON sqllock_leases FOR EACH STATEMENT EXECUTE FUNCTION heartbeat()`,
	},
	"mysql": {`CREATE TRIGGER heartbeat AFTER UPDATE ON sqllock_leases FOR EACH ROW UPDATE heartbeats SET n = n + 1`},
}

// watchHeartbeats counts heartbeats on SQL Server, where a table with a trigger can't be changed by
// a statement with an OUTPUT clause. It reads the lease ten times an interval, so it can only miss
// one of two heartbeats that are closer to each other than that.
func watchHeartbeats(t *testing.T, target *open.Database) func() int {
	t.Helper()
	var n atomic.Int64
	var last any
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(manyInterval / 10):
			}
			var renewed any
			err := target.DB.QueryRowContext(t.Context(),
				"SELECT renewed_at FROM sqllock_leases WHERE holder = 'holder'").Scan(&renewed)
			if err == nil && renewed != last {
				last = renewed
				n.Add(1)
			}
		}
	}()
	return func() int { return int(n.Load()) }
}

// A process that holds a thousand locks renews one row, by one statement an interval. It loses none
// of its locks while other processes keep the same server busy.
func TestThousandLocks(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, "CREATE TABLE heartbeats (n BIGINT NOT NULL)", "INSERT INTO heartbeats VALUES (0)")
		execute(t, target, countHeartbeats[target.Dialect.Name()]...)
		heartbeats := func() int { return scan[int](t, target, "SELECT n FROM heartbeats") }
		if countHeartbeats[target.Dialect.Name()] == nil {
			heartbeats = watchHeartbeats(t, target)
		}

		p := start(t, setup{URL: url, Holder: "holder", TTL: manyTTL, ReapEvery: -1}, nil)
		taken := must[time.Duration](p, "acquireMany", manyLocks)
		load := startLoad(t, 2, setup{URL: database(t, s), TTL: manyTTL, ReapEvery: -1}, loadRoutines, loadAccounts)
		load.check.awaitEach(t, 1, load.alive()...)

		before, began := heartbeats(), time.Now()
		duration := long.Or(10*time.Second, time.Minute)
		held, err := ask[holding](p, "hold", duration, duration+stepTimeout)
		if err != nil {
			t.Fatal(err)
		}
		n, intervals := heartbeats()-before, time.Since(began).Seconds()/manyInterval.Seconds()
		load.finish(t)
		t.Logf("%d locks taken in %s; %d heartbeats in %.1f intervals; %d locks lost; %d jobs of other processes done",
			manyLocks, taken.Round(time.Millisecond), n, intervals, len(held.Lost), load.check.counts[wrote])
		for _, why := range held.Lost {
			t.Errorf("a lock was lost: %s", why)
		}
		if held.Listed != manyLocks {
			t.Errorf("%d locks are listed as held; want %d", held.Listed, manyLocks)
		}
		// One more may fall on the beginning or the end, and one may be a retry.
		if most := intervals + 2; float64(n) > most {
			t.Errorf("%d heartbeats for %d locks in %.1f intervals; want one an interval", n, manyLocks, intervals)
		}
		if n == 0 {
			t.Error("no heartbeat was counted, so this test has shown nothing")
		}
		released := time.Now()
		must[any](p, "close", struct{}{})
		t.Logf("all released in %s", time.Since(released).Round(time.Millisecond))
		c := client(t, target, sqllock.Options{})
		reaped(t, c, func(r sqllock.Reaped) bool { return r.Locks == manyLocks })
		wantNoLocks(t, c, stepTimeout)
	})
}

var (
	_ = handle("acquireMany", (*worker).acquireMany)
	_ = handle("hold", (*worker).hold)
	_ = handle("close", (*worker).close)
)

// acquireMany takes n locks, and returns how long that took.
func (w *worker) acquireMany(ctx context.Context, n int) (any, error) {
	began := time.Now()
	names := make(chan string)
	errs := make(chan error, n)
	var routines sync.WaitGroup
	for range 8 {
		routines.Go(func() {
			for name := range names {
				lock, err := w.locks.TryAcquire(ctx, name)
				if err != nil {
					errs <- err
					continue
				}
				w.mu.Lock()
				w.held[name] = lock
				w.mu.Unlock()
			}
		})
	}
	for i := range n {
		names <- fmt.Sprintf("many/%04d", i)
	}
	close(names)
	routines.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
		return time.Since(began), nil
	}
}

// holding is the state of many locks.
type holding struct {
	Listed int      // locks that the database lists as held
	Lost   []string // for each lost lock, the cause that its context gives
}

// hold waits for d, and then returns the state of the worker's locks.
func (w *worker) hold(ctx context.Context, d time.Duration) (any, error) {
	time.Sleep(d)
	var h holding
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lock := range w.held {
		if err := context.Cause(lock.Context()); err != nil {
			h.Lost = append(h.Lost, err.Error())
		}
	}
	for info, err := range w.locks.Locks(ctx) {
		if err != nil {
			return nil, err
		}
		if info.State == sqllock.StateHeld {
			h.Listed++
		}
	}
	return h, nil
}

func (w *worker) close(ctx context.Context, _ struct{}) (any, error) { return nil, w.locks.Close(ctx) }
