package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	manyLocks    = 1000
	manyTTL      = 9 * time.Second
	manyInterval = manyTTL / 3 // of heartbeats
)

// countBeats makes the server count the updates of leases by itself, in a table of the test's.
var countBeats = map[string][]string{
	"sqlite": {`CREATE TRIGGER beat AFTER UPDATE ON sqllock_leases BEGIN UPDATE beats SET n = n + 1; END`},
	"postgres": {
		`CREATE FUNCTION beat() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE beats SET n = n + 1; RETURN NULL; END'`,
		`CREATE TRIGGER beat AFTER UPDATE ON sqllock_leases FOR EACH STATEMENT EXECUTE FUNCTION beat()`,
	},
	"mysql": {`CREATE TRIGGER beat AFTER UPDATE ON sqllock_leases FOR EACH ROW UPDATE beats SET n = n + 1`},
}

// watchBeats is for SQL Server, where a table with a trigger can't be changed by a statement that tells what it did: it
// looks ten times an interval, and misses only what two statements an interval would be.
func watchBeats(t *testing.T, target *open.Database) func() int {
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
			err := target.DB.QueryRowContext(t.Context(), "SELECT renewed_at FROM sqllock_leases WHERE holder = 'holder'").Scan(&renewed)
			if err == nil && renewed != last {
				last = renewed
				n.Add(1)
			}
		}
	}()
	return func() int { return int(n.Load()) }
}

// A process that holds a thousand locks renews one row, by one statement an interval, and loses none of them while
// others work hard on the same server.
func TestThousandLocks(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, "CREATE TABLE beats (n BIGINT NOT NULL)", "INSERT INTO beats VALUES (0)")
		execute(t, target, countBeats[target.Dialect.Name()]...)
		beats := func() int { return scan[int](t, target, "SELECT n FROM beats") }
		if countBeats[target.Dialect.Name()] == nil {
			beats = watchBeats(t, target)
		}

		p := start(t, setup{URL: url, Holder: "holder", TTL: manyTTL, ReapEvery: -1}, nil)
		taken := must[time.Duration](p, "acquireMany", manyLocks)
		load := startLoad(t, 2, setup{URL: database(t, s), TTL: manyTTL, ReapEvery: -1}, loadRoutines, loadAccounts)
		load.book.awaitEach(t, 1, load.alive()...)

		before, began := beats(), time.Now()
		duration := lasting(20*time.Second, 5*time.Minute)
		held, err := ask[holding](p, "hold", duration, duration+patience)
		if err != nil {
			t.Fatal(err)
		}
		n, intervals := beats()-before, time.Since(began).Seconds()/manyInterval.Seconds()
		load.finish(t)
		t.Logf("%d locks taken in %s; %d heartbeats in %.1f intervals; %d locks lost; %d jobs done beside it",
			manyLocks, taken.Round(time.Millisecond), n, intervals, len(held.Lost), load.book.counts[wrote])
		for _, why := range held.Lost {
			t.Errorf("lost: %s", why)
		}
		if held.Listed != manyLocks {
			t.Errorf("%d locks are listed as held; want %d", held.Listed, manyLocks)
		}
		if most := intervals + 2; float64(n) > most { // one that is cut by the beginning or the end, and one that is tried again
			t.Errorf("%d heartbeats for %d locks in %.1f intervals; want one an interval", n, manyLocks, intervals)
		}
		if n == 0 {
			t.Error("no heartbeat was counted: this has shown nothing")
		}
		released := time.Now()
		must[any](p, "close", struct{}{})
		t.Logf("all let go in %s", time.Since(released).Round(time.Millisecond))
		c := client(t, target, sqllock.Options{})
		reaped(t, c, func(r sqllock.Reaped) bool { return r.Locks == manyLocks })
		nothingLeft(t, c, patience)
	})
}

var (
	_ = handle("acquireMany", (*worker).acquireMany)
	_ = handle("hold", (*worker).hold)
	_ = handle("close", (*worker).close)
)

// acquireMany takes n locks and answers how long that took.
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

// holding is what became of many locks.
type holding struct {
	Listed int      // as held, by the database
	Lost   []string // as the holder knows it
}

// hold waits, and tells of its locks then.
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
		if info.State == sqllock.Held {
			h.Listed++
		}
	}
	return h, nil
}

func (w *worker) close(ctx context.Context, _ struct{}) (any, error) { return nil, w.locks.Close(ctx) }
