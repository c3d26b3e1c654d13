package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	loadTTL      = 2 * time.Second
	loadRoutines = 6
	loadAccounts = 3
)

// Many processes with many goroutines compete for few locks. Meanwhile processes are killed, or
// frozen past their TTL and resumed, wherever they happen to be. The ledger proves that no two jobs
// overlapped.
func TestContention(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		ttl := ttlFor(t, s, loadTTL)
		worker := setup{URL: url, TTL: ttl, ReapEvery: time.Second, PurgeAfter: time.Millisecond}
		c := startLoad(t, 4, worker, loadRoutines, loadAccounts)
		began := time.Now()
		strikes := 0
		for until := began.Add(long.Or(6*time.Second, 30*time.Second)); time.Now().Before(until); strikes++ {
			c.check.awaitEach(t, 3, c.alive()...)
			victim := c.alive()[rand.IntN(len(c.alive()))]
			if strikes%3 == 2 {
				c.check.kill(c.workers[victim-1], victim)
				c.add(t, worker, loadRoutines, loadAccounts)
				continue
			}
			frozen := c.workers[victim-1]
			frozen.stop()
			outlive(t, target, victim, ttl)
			frozen.cont()
		}
		c.finish(t)
		c.check.prove(t, target.DB)
		c.check.report(t, failed, unconfirmed)
		t.Logf("%d processes frozen or killed; %.0f jobs/s",
			strikes, float64(c.check.counts[wrote])/time.Since(began).Seconds())
		wantNoLocks(t, client(t, target, sqllock.Options{}), 2*ttl)
	})
}

// unconfirmed is in the error of a Release whose reply did not arrive within the seconds that
// Release takes at most. A frozen process may hold SQLite's only write lock for half of that time,
// and afterwards all the others compete for it.
const unconfirmed = "retrying in the background until its lease ends: sqlite: "

// outlive waits until the frozen worker's lease has run out and been expired by another process, or
// until one and a half TTLs have passed. On SQLite a worker frozen in the middle of a write keeps
// every other process from expiring its lease. It also blocks their releases, so outlive does not
// wait for longer.
func outlive(t *testing.T, target *open.Database, worker int64, ttl time.Duration) {
	t.Helper()
	leases := fmt.Sprintf("SELECT COUNT(*) FROM sqllock_leases WHERE holder = 'worker %d'", worker)
	for deadline := time.Now().Add(ttl + ttl/2); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if scan[int](t, target, leases) == 0 {
			return
		}
	}
}

// wantNoLocks waits until no lock is held, and none is left of a dead holder.
func wantNoLocks(t *testing.T, c *sqllock.Client, within time.Duration) {
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
