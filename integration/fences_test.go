package integration

import (
	"context"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// fences checks that the fences of one name only grow.
type fences struct {
	t     *testing.T
	last  int64
	after string
	count int
}

func (f *fences) next(after string, fence int64) {
	f.t.Helper()
	if fence <= f.last {
		f.t.Errorf("the fence is %d after %s; want more than the %d after %s", fence, after, f.last, f.after)
	}
	f.last, f.after, f.count = fence, after, f.count+1
}

// A name's fences grow through release, expiry, the reaper, and the purge of its row.
func TestFencesGrow(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		c := client(t, target, sqllock.Options{PurgeAfter: time.Microsecond})
		f := &fences{t: t}
		f.next("nothing", acquireAndRelease(t, c, "crash"))
		for range 100 { // these are faster than the ticks of the coarsest clock
			f.next("a release", acquireAndRelease(t, c, "crash"))
		}
		for range 2 {
			f.next("a crash", crash(t, url))
			lock, err := c.Acquire(t.Context(), "crash")
			if err != nil {
				t.Fatal(err)
			}
			f.next("an expiry", lock.Fence())
			mustRelease(t, lock)

			f.next("a takeover", crash(t, url))
			reaped(t, c, func(r sqllock.Reaped) bool { return r.Locks == 1 })
			f.next("a reaping", acquireAndRelease(t, c, "crash"))

			reaped(t, c, func(r sqllock.Reaped) bool { return r.Purged == 1 })
			if n := scan[int](t, target, "SELECT COUNT(*) FROM sqllock_locks"); n != 0 {
				t.Errorf("%d rows are left after the purge", n)
			}
			f.next("a purge", acquireAndRelease(t, c, "crash"))
		}
		t.Logf("%d fences, each greater than the one before", f.count)
	})
}

// crash starts a process that takes the lock, and kills it. It returns the lock's fence.
func crash(t *testing.T, url string) int64 {
	t.Helper()
	p := start(t, setup{URL: url, Holder: "victim", TTL: sqllock.MinTTL * 5, ReapEvery: -1}, nil)
	fence := must[acquired](p, "acquire", lockArgs{Name: "crash", Limit: stepTimeout}).Fence
	p.kill()
	return fence
}

// reaped reaps until enough reports that the test has seen what it waits for.
func reaped(t *testing.T, c *sqllock.Client, enough func(sqllock.Reaped) bool) {
	t.Helper()
	await(t, "the reaper", stepTimeout, func() bool {
		r, err := c.Reap(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return enough(r)
	})
}

// A name's fences grow when the database is killed and restarted, whether the lock is free or held
// at that time.
func TestFencesGrowAcrossRestart(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine, servers.Durable())
		prepare(t, server.URL)
		f := &fences{t: t}
		for range 2 {
			f.next("a restart", onceOn(t, server.URL, true))
			server.Kill()
			server.Restart()
			f.next("a restart with the lock free", onceOn(t, server.URL, true))
			f.next("a release", onceOn(t, server.URL, false))
			server.Kill()
			server.Restart()
			f.next("a restart with the lock held", onceOn(t, server.URL, true))
		}
		t.Logf("%d fences, each greater than the one before", f.count)
	})
}

// onceOn returns the fence that a new process gets. Without release, the process is killed with the
// lock held.
func onceOn(t *testing.T, url string, release bool) int64 {
	t.Helper()
	if !release {
		return crash(t, url)
	}
	target := connect(t, url)
	c := client(t, target, sqllock.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	lock, err := c.Acquire(ctx, "crash")
	if err != nil {
		t.Fatal(err)
	}
	mustRelease(t, lock)
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
	return lock.Fence()
}

// A name's fences grow across a failover to an asynchronous standby that missed the last commits.
// The row's fence there is older by more than one acquisition, so the next fence must not be
// counted from it.
func TestFencesGrowAcrossFailover(t *testing.T) {
	t.Parallel()
	primary := servers.Private(t, "postgres15")
	prepare(t, primary.URL)
	f := &fences{t: t}
	f.next("nothing", onceOn(t, primary.URL, true))
	standby := primary.Standby(t)
	f.next("the standby's copy", onceOn(t, primary.URL, true))
	standby.CatchUp(t, primary)
	seen := f.last
	standby.Detach(t)
	for range 5 {
		f.next("the standby's detachment", onceOn(t, primary.URL, true))
	}
	f.next("a release that the standby misses", crash(t, primary.URL))
	primary.Kill()
	standby.Promote(t)

	target := connect(t, standby.URL)
	if row := fenceOf(t, target); row != seen {
		t.Fatalf("the standby's row has fence %d; want %d, without the later ones up to %d", row, seen, f.last)
	}
	before := f.last
	f.next("the failover", onceOn(t, standby.URL, true))
	t.Logf("the standby had missed 6 acquisitions; the first fence there is greater by %d than the last one before",
		f.last-before)
}

func fenceOf(t *testing.T, target *open.Database) int64 {
	t.Helper()
	return scan[int64](t, target, "SELECT fence FROM sqllock_locks WHERE name = 'crash'")
}
