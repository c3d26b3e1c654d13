package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// threadStep is what a thread does next: it takes a lock while it holds others, releases the last
// one, or does nothing.
type threadStep struct {
	Take  string // a name, or empty
	Leave bool
	For   time.Duration // how long to wait for the lock at most, if not zero; or how long to do nothing
	Says  bool          // with Holding, instead of the lock's ctx
}

// plan is a program: its threads, each in one of three processes, and how slow the database is.
type plan struct {
	Threads  [][]threadStep
	Slow     map[sqllocktest.Op]time.Duration
	Notified bool // waiters are notified of hand-overs; otherwise all poll
}

func plans() *rapid.Generator[plan] {
	millis := func(most int) *rapid.Generator[time.Duration] {
		toDuration := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
		return rapid.Map(rapid.IntRange(0, most), toDuration)
	}
	steps := rapid.Custom(func(t *rapid.T) threadStep {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1:
			return threadStep{Leave: true}
		case 2, 3:
			return threadStep{For: millis(3000).Draw(t, "pause")}
		case 4:
			return threadStep{
				Take: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name"),
				For:  time.Millisecond + millis(6000).Draw(t, "limit"),
			}
		}
		return threadStep{
			Take: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name"),
			Says: rapid.Bool().Draw(t, "says"),
		}
	})
	slow := []sqllocktest.Op{
		sqllocktest.OpEnqueue, sqllocktest.OpDequeue, sqllocktest.OpWaitingHolders, sqllocktest.OpGet,
		sqllocktest.OpAcquire,
	}
	return rapid.Custom(func(t *rapid.T) plan {
		return plan{
			Threads:  rapid.SliceOfN(rapid.SliceOfN(steps, 1, 8), 2, 6).Draw(t, "threads"),
			Slow:     rapid.MapOfN(rapid.SampledFrom(slow), millis(200), 0, 3).Draw(t, "slow"),
			Notified: rapid.Bool().Draw(t, "notified"),
		}
	})
}

// TestDeadlockProperty: whatever the threads do, a thread gets a deadlock error only if it is in a
// deadlock, and no deadlock lasts.
func TestDeadlockProperty(t *testing.T) {
	alarms := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := plans().Draw(rt, "plan")
		var w *threads
		synctest.Test(t, func(t *testing.T) {
			w = &threads{
				db: sqllocktest.New(), holds: make(map[string]int), waits: make(map[int]string),
				since: make(map[int]time.Time), last: make(map[int]time.Time),
			}
			w.run(t, p)
		})
		alarms += w.alarms
		for _, wrong := range w.wrong {
			rt.Error(wrong)
		}
	})
	t.Logf("%d deadlocks", alarms)
	if alarms == 0 {
		t.Error("no plan led into a deadlock: nothing was tested")
	}
}

const (
	found  = 5 * time.Second        // a deadlock lasts no longer, on a slow database
	passed = 900 * time.Millisecond // a victim was in a deadlock at most this long ago: others may have given up since
)

// threads is the true state: which thread holds what and waits for what.
type threads struct {
	db *sqllocktest.Dialect

	mu     sync.Mutex
	holds  map[string]int    // the thread that holds a lock
	waits  map[int]string    // the lock that a thread waits for
	since  map[int]time.Time // since when a thread is in a circle
	last   map[int]time.Time // when a thread was last in a circle
	wrong  []string
	alarms int
}

// change changes the state, after it has recorded who was in a circle until now.
func (w *threads) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for thread, since := range w.since {
		w.last[thread] = time.Now()
		if d := time.Since(since); d > found {
			w.wrong = append(w.wrong, fmt.Sprintf("thread %d was in a deadlock for %s", thread, d))
		}
	}
	f()
	for thread := range w.waits {
		if !w.circle(thread) {
			delete(w.since, thread)
		} else if w.since[thread].IsZero() {
			w.since[thread] = time.Now()
		}
	}
	for thread := range w.since {
		if w.waits[thread] == "" {
			delete(w.since, thread)
		}
	}
}

// circle reports whether a thread waits for itself.
func (w *threads) circle(thread int) bool {
	at := thread
	for range len(w.waits) {
		next, held := w.holds[w.waits[at]]
		if !held || w.waits[next] == "" {
			return false
		}
		if at = next; at == thread {
			return true
		}
	}
	return false
}

func (w *threads) run(t *testing.T, p plan) {
	for op, by := range p.Slow {
		w.db.Delay(op, by)
	}
	var clients []*sqllock.Client
	for _, holder := range []string{"one", "two", "three"} {
		clients = append(clients, client(t, w.db, holder, func(o *sqllock.Options) { o.PollOnly = !p.Notified }))
	}
	var all sync.WaitGroup
	for i, steps := range p.Threads {
		all.Go(func() { w.thread(t, i, clients[i%len(clients)], steps) })
	}
	all.Wait()
	time.Sleep(time.Minute)
	if rows, err := w.db.WaitingHolders(t.Context(), 0, 10); err != nil || len(rows) > 0 {
		w.wrong = append(w.wrong, fmt.Sprintf("left in the queue: %+v, %v", rows, err))
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if queue, err := w.db.Queue(t.Context(), dialect.Key{Name: name}, 10); err != nil || len(queue) > 0 {
			w.wrong = append(w.wrong, fmt.Sprintf("left in the queue: %+v, %v", queue, err))
		}
	}
}

// thread carries out a thread's steps. In a deadlock it releases everything and ends.
func (w *threads) thread(t *testing.T, me int, c *sqllock.Client, steps []threadStep) {
	var held []*sqllock.Lock
	leave := func() {
		last := held[len(held)-1]
		held = held[:len(held)-1]
		w.change(func() { delete(w.holds, last.Name()) })
		if err := last.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, s := range steps {
		switch {
		case s.Take != "":
			lock, err := w.take(t, me, c, held, s)
			if err != nil {
				t.Error(err)
			}
			if lock == nil && s.For == 0 {
				steps = nil
			}
			if lock != nil {
				held = append(held, lock)
			}
		case s.Leave && len(held) > 0:
			leave()
		default:
			time.Sleep(s.For)
		}
		if steps == nil {
			break
		}
	}
	for len(held) > 0 {
		leave()
	}
}

// take acquires a lock while others are held. It returns nil if it gave up, or had to.
func (w *threads) take(
	t *testing.T, me int, c *sqllock.Client, held []*sqllock.Lock, s threadStep,
) (*sqllock.Lock, error) {
	ctx, opts := t.Context(), []sqllock.Option(nil)
	switch {
	case s.Says:
		opts = append(opts, sqllock.Holding(held...))
	case len(held) > 0:
		ctx = held[len(held)-1].Context()
	}
	limit := time.Hour
	if s.For > 0 {
		limit = s.For
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w.change(func() { w.waits[me] = s.Take })
	lock, err := c.Acquire(ctx, s.Take, opts...)
	victim := errors.Is(err, sqllock.ErrDeadlock)
	w.change(func() {
		if victim {
			w.alarms++
			if in := w.circle(me); !in && (w.last[me].IsZero() || time.Since(w.last[me]) > passed) {
				w.wrong = append(w.wrong, fmt.Sprintf("thread %d is in no circle and got: %v", me, err))
			}
		}
		delete(w.waits, me)
		if lock != nil {
			w.holds[s.Take] = me
		}
	})
	if victim || s.For > 0 && errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return lock, err
}
