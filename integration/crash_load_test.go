package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	loadTTL      = 2 * time.Second
	loadRoutines = 6
	loadAccounts = 3
)

// Many processes with many goroutines fight over few locks. Meanwhile processes are frozen past their TTL and
// resumed, wherever they happen to be, and killed. The ledger proves that nobody's work overlapped.
func TestContention(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		ttl := ttlFor(t, s, loadTTL)
		worker := setup{URL: url, TTL: ttl, ReapEvery: time.Second, PurgeAfter: time.Millisecond}
		c := startLoad(t, 4, worker, loadRoutines, loadAccounts)
		began := time.Now()
		strikes := 0
		for until := began.Add(lasting(10*time.Second, time.Minute)); time.Now().Before(until); strikes++ {
			c.book.awaitEach(t, 3, c.alive()...)
			victim := c.alive()[rand.IntN(len(c.alive()))]
			if strikes%3 == 2 {
				c.book.kill(c.workers[victim-1], victim)
				c.add(t, worker, loadRoutines, loadAccounts)
				continue
			}
			frozen := c.workers[victim-1]
			frozen.stop()
			outlive(t, target, victim, ttl)
			frozen.cont()
		}
		c.finish(t)
		c.book.prove(t, target.DB)
		c.book.complain(t, failed)
		t.Logf("%d processes frozen or killed; %.0f jobs/s", strikes, float64(c.book.counts[wrote])/time.Since(began).Seconds())
		nothingLeft(t, client(t, target, sqllock.Options{}), 2*ttl)
	})
}

// outlive waits until the frozen worker's lease has run out and is buried. On SQLite nobody can bury it where it was
// frozen in the middle of a write; then it is over half a TTL later: while it is, nobody's release gets through.
func outlive(t *testing.T, target *open.Database, worker int64, ttl time.Duration) {
	t.Helper()
	leases := fmt.Sprintf("SELECT COUNT(*) FROM sqllock_leases WHERE holder = 'worker %d'", worker)
	for deadline := time.Now().Add(ttl + ttl/2); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if scan[int](t, target, leases) == 0 {
			return
		}
	}
}

// nothingLeft waits until no lock is held or left by a dead one.
func nothingLeft(t *testing.T, c *sqllock.Client, within time.Duration) {
	t.Helper()
	took := await(t, "the end of all locks", within, func() bool {
		names, err := heldLocks(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return len(names) == 0
	})
	t.Logf("no lock is held; that took %s", took.Round(time.Millisecond))
}
