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

	// clockGrain is how much two readings of one clock may differ on the engine with the coarsest
	// clock, SQLite, whose clock has milliseconds.
	clockGrain = 2 * time.Millisecond

	// soon is how late a takeover may be if timers are on time: a waiter polls when the holder's
	// lease ends, and once a second. On a stalled machine (see watchOutage), each of its statements
	// may be as late as timers are.
	soon = time.Second

	// soonest is how late a waiter may get a released lock if it receives no notification. The
	// second between two polls has a quarter of jitter.
	soonest = soon + soon/4
)

// The holder is killed while another process waits. The waiter gets the lock when the lease has run
// out, not before and not much later, with a greater fence.
func TestHolderKilled(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		holder := start(t, setup{URL: url, Holder: "holder", TTL: crashTTL, ReapEvery: -1}, nil)
		nextHolder := start(t, setup{URL: url, Holder: "next holder", TTL: crashTTL, ReapEvery: -1}, nil)
		before := must[acquired](holder, "acquire", lockArgs{Name: "crash"})
		holder.kill()

		_, at := takeOver(t, nextHolder, before)
		t.Logf("taken over %s after the lease's end", at.Round(time.Millisecond))
	})
}

// takeOver lets nextHolder wait for a dead holder's lock. It checks that nextHolder gets the lock
// when the lease has run out and not before, with a greater fence. It returns the new lock, and how
// long after the lease's end it came.
func takeOver(t *testing.T, nextHolder *process, before acquired) (after acquired, late time.Duration) {
	t.Helper()
	return takeOverAs(t, nextHolder, lockArgs{Name: "crash"}, before)
}

// takeOverAs is takeOver for a lock of any kind.
func takeOverAs(
	t *testing.T, nextHolder *process, args lockArgs, before acquired,
) (after acquired, late time.Duration) {
	t.Helper()
	stall := watchOutage(t)
	sent, try := time.Now(), args
	try.Try = true
	_, err := ask[acquired](nextHolder, "acquire", try, stepTimeout)
	replied := time.Now()
	remaining := heldFor(t, err)
	if remaining > crashTTL {
		t.Errorf("the lease has %s left, of a TTL of %s", remaining, crashTTL)
	}
	after = must[acquired](nextHolder, "acquire", args)
	taken := time.Now()
	// The server computed remaining at some moment between sent and replied.
	if early := sent.Add(remaining).Sub(taken); early > clockGrain {
		t.Errorf("taken over %s before the lease's end", early)
	}
	late = taken.Sub(replied.Add(remaining))
	if timers := stall(); late > soon+3*timers { // a takeover is three statements
		t.Errorf("taken over %s after the lease's end; want within %s, and timers were %s late at most",
			late, soon, timers)
	}
	if after.Fence <= before.Fence {
		t.Errorf("the next holder's fence is %d; the dead holder's was %d", after.Fence, before.Fence)
	}
	return after, late
}

// heldFor returns how long the lease of the lock's holder lasts, according to the error of a
// TryAcquire.
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

// The holder is frozen past its lease's end and resumed when another process has the lock. It can
// do no harm then: its ctx has ended, both the Client and the database refuse its guard, and its
// release changes nothing.
func TestHolderFrozen(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		frozen := make(chan struct{}, 1)
		holder := start(t, setup{URL: url, Holder: "holder", TTL: crashTTL, ReapEvery: -1}, func(m message) {
			if m.Event == "frozen" {
				frozen <- struct{}{}
			}
		})
		nextHolder := start(t, setup{URL: url, Holder: "next holder", TTL: crashTTL, ReapEvery: -1}, nil)
		before := must[acquired](holder, "acquire", lockArgs{Name: "crash"})
		thawed, err := holder.send("freeze", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		<-frozen
		over := time.Now().Add(crashTTL)
		after, late := takeOver(t, nextHolder, before)
		t.Logf("taken over %s after the lease's end", late.Round(time.Millisecond))

		time.Sleep(time.Until(over)) // the lease must be over by the holder's own clock too
		holder.cont()
		alive, err := receive[[]string](holder, "freeze", thawed, stepTimeout)
		if err != nil {
			t.Fatal(err)
		}
		if len(alive) > 0 {
			t.Errorf("after the holder was resumed, the contexts of %q were still alive", alive)
		}
		if _, err := ask[any](holder, "guard", lockArgs{Name: "crash"}, stepTimeout); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("guard of the resumed holder: %v; want ErrLost", err)
		}
		if must[bool](holder, "serverGuard", lockArgs{Name: "crash", Owner: before.Owner}) {
			t.Error("the database still guards the resumed holder's lock")
		}
		c := must[ended](holder, "context", lockArgs{Name: "crash", Limit: stepTimeout})
		if !c.Over || !errors.Is(c.Cause, sqllock.ErrLost) {
			t.Errorf("context of the resumed holder: %+v; want ended by ErrLost", c)
		}
		_, err = ask[any](holder, "release", lockArgs{Name: "crash"}, stepTimeout)
		if !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("release by the resumed holder: %v; want ErrLost", err)
		}
		must[any](nextHolder, "guard", lockArgs{Name: "crash"})
		if !must[bool](nextHolder, "serverGuard", lockArgs{Name: "crash", Owner: after.Owner}) {
			t.Error("the next holder has lost its lock")
		}
		must[any](nextHolder, "release", lockArgs{Name: "crash"})
		if again := must[acquired](holder, "acquire", lockArgs{Name: "crash", Try: true}); again.Fence <= after.Fence {
			t.Errorf("the resumed holder's new fence is %d, not greater than %d", again.Fence, after.Fence)
		}
	})
}
