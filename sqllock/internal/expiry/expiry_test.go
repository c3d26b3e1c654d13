package expiry

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

func none(dialect.Row) bool { return false }

// A lease is over once it was seen without a renewal for its TTL, although the database says that
// an hour is left. A renewal begins the count again.
func TestCorrectLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = 10 * time.Second
		w := NewWatcher(nil, nil, none)
		renewed := time.Unix(1, 0)
		for _, step := range []struct {
			wait    time.Duration
			renewed bool
			state   dialect.LeaseState
			atMost  time.Duration
		}{
			{0, false, dialect.LeaseLive, ttl + ttl/1000},
			{ttl / 2, false, dialect.LeaseLive, ttl/2 + ttl/1000},
			{ttl / 4, true, dialect.LeaseLive, ttl + ttl/1000},
			{ttl, false, dialect.LeaseLive, ttl / 1000},
			{ttl / 1000, false, dialect.LeaseExpired, 0},
		} {
			time.Sleep(step.wait)
			if step.renewed {
				renewed = renewed.Add(time.Second)
			}
			row := dialect.Row{
				Held: true, Lease: dialect.LeaseLive, LeaseID: "lease",
				RenewedAt: renewed, TTL: ttl, Remaining: time.Hour,
			}
			w.Correct(&row)
			over := row.Remaining <= 0
			if row.Lease != step.state || row.Remaining > step.atMost || over != (step.state != dialect.LeaseLive) {
				t.Errorf("after %s more (renewed: %t): %v, %s left; want %v, at most %s",
					step.wait, step.renewed, row.Lease, row.Remaining, step.state, step.atMost)
			}
		}
	})
}

// A bar lasts no longer than its length. A row whose bar never ends keeps it.
func TestCorrectBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bar = time.Minute
		w := NewWatcher(nil, nil, func(row dialect.Row) bool { return row.Name == "lasting" })
		for _, waited := range []time.Duration{0, bar + bar/1000} {
			time.Sleep(waited)
			for name, want := range map[string]bool{"lasting": true, "barred": waited == 0} {
				row := dialect.Row{Key: dialect.Key{Name: name}, Fence: 7, FreeIn: time.Hour, Bar: bar}
				w.Correct(&row)
				if barred := row.FreeIn > 0; barred != want {
					t.Errorf("%s after %s: barred %t; want %t", name, waited, barred, want)
				}
			}
		}
	})
}

// What nobody reads anymore is forgotten, so that a process doesn't grow with the locks that it has
// once seen.
func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatcher(nil, nil, none)
		for i := range 100 * few {
			w.remaining(watched{lease: fmt.Sprint(i)}, 1, time.Second)
			time.Sleep(10 * time.Second)
		}
		if n := len(w.seen); n > few {
			t.Errorf("%d leases are remembered; want %d at most", n, few)
		}
	})
}
