package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// TestPermitsContention lets three processes hold permits of one semaphore: never more than there
// are.
func TestPermitsContention(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, contentionTables...)
		all := runContention(t, url, contentionArgs{
			Permits: 3, Routines: 4, For: long.Or(2*time.Second, 10*time.Second),
		})
		t.Logf("%d permits were held", all.Permits)
		if all.Permits == 0 {
			t.Error("no permit was held, so this run has shown nothing")
		}
		nothingHeld(t, client(t, target, sqllock.Options{}))
	})
}

// TestPermitsChange checks that callers may pass different n. Each takes one of its first n
// permits, and permits beyond that stay held.
func TestPermitsChange(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		a := client(t, connect(t, url), sqllock.Options{Holder: "a"})
		b := client(t, connect(t, url), sqllock.Options{Holder: "b"})
		const before, fewer, more = 4, 2, 6
		held := make(map[int]*sqllock.Lock)
		for range before {
			lock := mustTry(t, a, "pool", locktest.Permits(before))
			held[lock.Permit()] = lock
		}
		for left := before; left > 0; left-- { // the last ones first
			lock, err := b.Semaphore("pool", fewer).TryAcquire(t.Context())
			if !errors.Is(err, sqllock.ErrNotAcquired) {
				t.Fatalf("with %d of %d permits held: %v, %v", left, before, lock, err)
			}
			if left <= fewer {
				break
			}
			mustRelease(t, held[left-1])
		}
		for range more - fewer {
			if lock := mustTry(t, b, "pool", locktest.Permits(more)); lock.Permit() < fewer {
				t.Errorf("permit %d was granted twice", lock.Permit())
			}
		}
		mustRelease(t, held[0])
		lock := mustTry(t, b, "pool", locktest.Permits(fewer))
		if lock.Permit() != 0 || lock.Fence() <= held[0].Fence() {
			t.Errorf("got permit %d with fence %d after 0 with %d", lock.Permit(), lock.Fence(), held[0].Fence())
		}
	})
}
