package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	crashTTL = 2 * time.Second

	// clockGrain is what two readings of one clock may differ by on the coarsest engine: SQLite's has milliseconds.
	clockGrain = 2 * time.Millisecond

	// soon is how late a takeover may be on a busy machine. A waiter looks at least once a second.
	soon = 15 * time.Second
)

// The holder is killed: another gets the lock when the lease has run out, not before and not much later, with a
// greater fence, though it was waiting all the time.
func TestHolderKilled(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		holder := start(t, setup{URL: url, Holder: "holder", TTL: crashTTL, ReapEvery: -1}, nil)
		heir := start(t, setup{URL: url, Holder: "heir", TTL: crashTTL, ReapEvery: -1}, nil)
		before := must[acquired](holder, "acquire", lockArgs{Name: "crash"})
		holder.kill()

		_, at := takeOver(t, heir, before)
		t.Logf("taken over %s after the lease's end", at.Round(time.Millisecond))
	})
}

// takeOver lets heir wait for a dead holder's lock, and checks that it comes when the lease has run out and not
// before, with a greater fence. It answers how long after the lease's end it came.
func takeOver(t *testing.T, heir *process, before acquired) (after acquired, late time.Duration) {
	t.Helper()
	return takeOverAs(t, heir, lockArgs{Name: "crash"}, before)
}

// takeOverAs does so for a lock of any kind.
func takeOverAs(t *testing.T, heir *process, args lockArgs, before acquired) (after acquired, late time.Duration) {
	t.Helper()
	sent, try := time.Now(), args
	try.Try = true
	_, err := ask[acquired](heir, "acquire", try, patience)
	answered := time.Now()
	left := heldFor(t, err)
	if left > crashTTL {
		t.Errorf("the lease has %s left, of a TTL of %s", left, crashTTL)
	}
	after = must[acquired](heir, "acquire", args)
	taken := time.Now()
	// The server said left at some moment between sent and answered.
	if early := sent.Add(left).Sub(taken); early > clockGrain {
		t.Errorf("taken over %s before the lease's end", early)
	}
	late = taken.Sub(answered.Add(left))
	if late > soon {
		t.Errorf("taken over %s after the lease's end; want within %s", late, soon)
	}
	if after.Fence <= before.Fence {
		t.Errorf("the heir's fence is %d, the dead holder's was %d", after.Fence, before.Fence)
	}
	return after, late
}

// heldFor is how long the lease of the lock's holder has left, by the error of one who tried to take it.
func heldFor(t *testing.T, err error) time.Duration {
	t.Helper()
	e, ok := errors.AsType[*remoteError](err)
	if !ok || e.Held == nil || !errors.Is(err, sqllock.ErrNotAcquired) {
		t.Fatalf("TryAcquire of a held lock: %v; want a *HeldError", err)
	}
	if e.Held.Remaining <= 0 {
		t.Fatalf("TryAcquire of a held lock: nothing remains of its lease: %v", err)
	}
	return e.Held.Remaining
}

// The holder is frozen past its lease's end and resumed: by then another has the lock, and the one that had it can
// do no harm: its ctx has ended, its guard is refused, on this side and by the database, and its release changes
// nothing.
func TestHolderFrozen(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		frozen := make(chan struct{}, 1)
		holder := start(t, setup{URL: url, Holder: "holder", TTL: crashTTL, ReapEvery: -1}, func(m message) {
			if m.Event == "frozen" {
				frozen <- struct{}{}
			}
		})
		heir := start(t, setup{URL: url, Holder: "heir", TTL: crashTTL, ReapEvery: -1}, nil)
		before := must[acquired](holder, "acquire", lockArgs{Name: "crash"})
		thawed, err := holder.send("freeze", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		<-frozen
		after, late := takeOver(t, heir, before)
		t.Logf("taken over %s after the lease's end", late.Round(time.Millisecond))

		holder.cont()
		if _, err := hear[any](holder, "freeze", thawed, patience); err != nil {
			t.Fatal(err)
		}
		if _, err := ask[any](holder, "guard", lockArgs{Name: "crash"}, patience); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("guard of the resumed holder: %v; want ErrLost", err)
		}
		if must[bool](holder, "serverGuard", lockArgs{Name: "crash", Owner: before.Owner}) {
			t.Error("the database still guards the resumed holder's lock")
		}
		if c := must[ended](holder, "context", lockArgs{Name: "crash", Limit: patience}); !c.Over || !errors.Is(c.Cause, sqllock.ErrLost) {
			t.Errorf("context of the resumed holder: %+v; want ended by ErrLost", c)
		}
		if _, err := ask[any](holder, "release", lockArgs{Name: "crash"}, patience); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("release by the resumed holder: %v; want ErrLost", err)
		}
		must[any](heir, "guard", lockArgs{Name: "crash"})
		if !must[bool](heir, "serverGuard", lockArgs{Name: "crash", Owner: after.Owner}) {
			t.Error("the heir's lock is gone")
		}
		must[any](heir, "release", lockArgs{Name: "crash"})
		if again := must[acquired](holder, "acquire", lockArgs{Name: "crash", Try: true}); again.Fence <= after.Fence {
			t.Errorf("fence %d after %d", again.Fence, after.Fence)
		}
	})
}
