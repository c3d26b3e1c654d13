package inspect_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// wait waits for a lock until the test ends.
func wait(t *testing.T, acquire func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = acquire(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	time.Sleep(time.Second) // by then it is in the queue
	synctest.Wait()
}

// A waiter is counted for the locks of its kind and no others, and the forest has what it holds.
func TestSnapshot(t *testing.T) {
	testkit.Bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b, c := testkit.Client(t, db, "a"), testkit.Client(t, db, "b"), testkit.Client(t, db, "c")
		lock := testkit.MustTry(t, a, "x", sqllock.WithNote("why"))
		if _, err := a.RWLock("x").TryAcquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := a.Semaphore("s", 2).TryAcquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		testkit.MustTry(t, b, "y")
		if err := testkit.MustTry(t, a, "free").Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		wait(t, func(ctx context.Context) error { _, err := b.RWLock("x").AcquireShared(ctx); return err })
		wait(t, func(ctx context.Context) error { _, err := c.Semaphore("s", 2).Acquire(ctx); return err })
		wait(t, func(ctx context.Context) error { _, err := c.Acquire(ctx, "y"); return err })
		s, err := inspect.Read(t.Context(), c, false, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range s.Locks {
			got = append(got, fmt.Sprintf("%s %s %d", l.Name, l.KindText(), l.Waiters))
		}
		want := "s semaphore #0 1, s semaphore #1 1, x lock 0, x rwlock, writer 1, y lock 1"
		if strings.Join(got, ", ") != want {
			t.Errorf("the locks are %s; want %s", strings.Join(got, ", "), want)
		}
		for what, d := range map[string]*inspect.Details{"the snapshot": s.Show("x"), "Show": show(t, c, "x")} {
			if len(d.Holders) != 2 || len(d.Queue) != 1 || len(d.Queue[0].Holds) != 1 || d.More {
				t.Fatalf("%s has %+v", what, d)
			}
			l, rw, h := d.Holders[0], d.Holders[1], d.Queue[0].Holds[0]
			if l.Fence != lock.Fence() || l.Note != "why" || !l.Alive() || l.Waiters != 0 ||
				rw.Waiters != 1 || rw.Waiting == nil {
				t.Errorf("%s has the holders %+v", what, d.Holders)
			}
			if d.Queue[0].Holder != "b" || h.Name != "y" || len(h.Waiters) != 1 || h.Waiters[0].Holder != "c" {
				t.Errorf("%s has the queue %+v", what, d.Queue)
			}
		}
		all, err := inspect.Read(t.Context(), c, true, 0)
		if err != nil || len(all.Locks) <= len(s.Locks) || all.Show("free").Holders[0].State != sqllock.StateFree {
			t.Errorf("with free locks: %+v, %v", all, err)
		}
		few, err := inspect.Read(t.Context(), c, false, 2)
		if err != nil || len(few.Locks) != 2 || !few.More {
			t.Errorf("with a limit: %+v, %v", few, err)
		}
		now := time.Now()
		if y := s.Locks[4]; y.Stuck(now, time.Minute) || !y.Stuck(now.Add(2*time.Minute), time.Minute) {
			t.Errorf("%+v is stuck at the wrong time", y)
		}
		db.Outage(true)
		if _, err := inspect.Read(t.Context(), c, false, 0); err == nil {
			t.Error("there is no error while the database is down")
		}
		db.Outage(false)
	})
}

func show(t *testing.T, c *sqllock.Client, name string) *inspect.Details {
	t.Helper()
	d, err := inspect.Show(t.Context(), c, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// count returns how many waiters and locks a forest has.
func count(waiters []inspect.Waiter) (n int) {
	for _, w := range waiters {
		n++
		for _, h := range w.Holds {
			n += 1 + count(h.Waiters)
		}
	}
	return n
}

// Where everybody waits for everybody, or holds very much, the forest has an end, and begins with
// the whole queue.
func TestForestHasAnEnd(t *testing.T) {
	const many, most = 60, 1000
	for _, each := range []int{1, 100} { // locks that each process holds
		s := &inspect.Snapshot{}
		for i := range many {
			holder := fmt.Sprint("process ", i)
			for k := range each {
				name := fmt.Sprint("lock ", i, "/", k)
				s.Locks = append(s.Locks, inspect.Lock{Name: name, State: sqllock.StateHeld, Holder: holder})
			}
			for j := range many {
				s.Waiters = append(s.Waiters, sqllock.Waiter{Name: fmt.Sprint("lock ", j, "/0"), Holder: holder})
			}
		}
		d := s.Show("lock 7/0")
		if n := count(d.Queue); n > most || n < most-many || !d.More || len(d.Queue) != many {
			t.Errorf("%d waiters and locks, more %t, %d waiters at first", n, d.More, len(d.Queue))
		}
	}
}

// A lock that is held by two waiters of the forest has its waiters below both.
func TestForestRepeats(t *testing.T) {
	s := &inspect.Snapshot{
		Locks: []inspect.Lock{{Name: "y", Kind: sqllock.KindLock, State: sqllock.StateHeld, Holder: "b"}},
		Waiters: []sqllock.Waiter{
			{Name: "x", Kind: sqllock.KindLock, Holder: "b"},
			{Name: "x", Kind: sqllock.KindRWLock, Holder: "b"},
			{Name: "y", Kind: sqllock.KindLock, Holder: "b"}, // it waits for itself
		},
	}
	d := s.Show("x")
	for _, w := range d.Queue {
		if len(w.Holds) != 1 || len(w.Holds[0].Waiters) != 1 || len(w.Holds[0].Waiters[0].Holds[0].Waiters) != 0 {
			t.Errorf("%+v", w)
		}
	}
	if len(d.Queue) != 2 || d.More {
		t.Errorf("%+v", d)
	}
}

// A break that is recorded is part of what Show returns, and tables without records are no error.
func TestShowBroken(t *testing.T) {
	testkit.Bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := testkit.Client(t, db, "a")
		lock := testkit.MustTry(t, a, "x")
		by, why := sqllock.BrokenBy("ann"), sqllock.WithReason("why")
		if _, err := a.Break(t.Context(), "x", lock.Fence(), by, why); err != nil {
			t.Fatal(err)
		}
		broken := show(t, a, "x").Broken
		if len(broken) != 1 || broken[0].By != "ann" || broken[0].Reason != "why" || broken[0].Lock().Holder != "a" {
			t.Errorf("%+v", broken)
		}
		db.FailNext(sqllocktest.OpListBreaks, 1, dialect.ClassNoSchema)
		if d := show(t, a, "x"); len(d.Broken) != 0 || d.BrokenUnread == "" {
			t.Errorf("without the table: %+v", d)
		}
	})
}

// Texts of other processes can't change a terminal, and patterns are no regular expressions.
func TestTexts(t *testing.T) {
	if got := inspect.Printable("a\x1b[2Jb\nc\u202Ed\u00e9"); got != "a\uFFFD[2Jb\uFFFDc\uFFFDd\u00e9" {
		t.Errorf("Printable returns %q", got)
	}
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a/*", "a/b/c", true},
		{"a?c", "a/c", true},
		{"a?c", "ac", false},
		{"[ab]", "a", false},
		{"(", "(", true},
		{"", "", true},
		{"*", "two\nlines", true},
		{"\xff*", "a", false},
	} {
		if got := inspect.Glob(c.pattern)(c.text); got != c.want {
			t.Errorf("Glob(%q)(%q) is %t", c.pattern, c.text, got)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 1234 * time.Millisecond: "1.2s", 75*time.Second + 400*time.Millisecond: "1m15s",
		26*time.Hour + 59*time.Second: "26h1m",
	} {
		if got := inspect.Short(d); got != want {
			t.Errorf("Short(%d) is %q, want %q", d, got, want)
		}
	}
}
