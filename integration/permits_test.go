package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// Three processes hold permits of one semaphore: never more than there are.
func TestPermitsCrowd(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, crowdTables...)
		all := crowds(t, url, crowdArgs{Permits: 3, Routines: 4, For: lasting(2*time.Second, 20*time.Second)})
		t.Logf("%d permits were held", all.Permits)
		if all.Permits == 0 {
			t.Error("this has shown nothing")
		}
		nothingHeld(t, client(t, target, sqllock.Options{}))
	})
}

// With another n nobody is sent away: who asks keeps to his own, and those beyond it hold on.
func TestPermitsChange(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		a := client(t, connect(t, url), sqllock.Options{Holder: "a"})
		b := client(t, connect(t, url), sqllock.Options{Holder: "b"})
		const before, fewer, more = 4, 2, 6
		held := make(map[int]*sqllock.Lock)
		for range before {
			lock := mustTry(t, a, "pool", sqllock.Permits(before))
			held[lock.Slot()] = lock
		}
		for slot := before; slot > 0; slot-- { // the last ones first
			if lock, err := b.TryAcquire(t.Context(), "pool", sqllock.Permits(fewer)); !errors.Is(err, sqllock.ErrNotAcquired) {
				t.Fatalf("with %d of %d permits held: %v, %v", slot, before, lock, err)
			}
			if slot <= fewer {
				break
			}
			mustRelease(t, held[slot-1])
		}
		for range more - fewer {
			if lock := mustTry(t, b, "pool", sqllock.Permits(more)); lock.Slot() < fewer {
				t.Errorf("permit %d was given twice", lock.Slot())
			}
		}
		mustRelease(t, held[0])
		if lock := mustTry(t, b, "pool", sqllock.Permits(fewer)); lock.Slot() != 0 || lock.Fence() <= held[0].Fence() {
			t.Errorf("got permit %d with fence %d after 0 with %d", lock.Slot(), lock.Fence(), held[0].Fence())
		}
	})
}
