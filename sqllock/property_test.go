package sqllock_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// Whatever some clients do, in whatever order, and whatever befalls the database meanwhile: what is held at a time may be held
// together, fences grow, what is free is had, and nothing is left behind.
func TestProperties(t *testing.T) {
	for name, r := range map[string]rules{"exclusive": exclusiveRules, "shared": sharedRules, "permits": permitRules} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				var failure any // that a bubble has to hand out, since it is a panic of another goroutine
				synctest.Test(t, func(t *testing.T) {
					defer func() { failure = recover() }()
					m := newMachine(t, rt, r)
					rt.Repeat(m.actions())
					m.comesToRest(rt)
				})
				rethrow(failure)
			})
		})
	}
}

// rethrow panics as the bubble did. rapid tells failures apart by where they come from: that a case was too short for what was
// drawn is no failure, and comes from elsewhere.
func rethrow(failure any) {
	switch {
	case failure == nil:
	case fmt.Sprintf("%T", failure) == "rapid.invalidData":
		panic(failure)
	default:
		panic(failure)
	}
}

const propertyTTL = 10 * time.Second

// machine is some clients of one database, what they hold, and who waits.
type machine struct {
	rules   rules
	db      *sqllocktest.Dialect
	clients []*sqllock.Client
	held    []*grant
	fresh   []*grant // granted in this step
	waiting []*waiting
	fences  map[int]int64                 // by slot
	unclear map[*sqllock.Client]time.Time // until when it may rely on a lease that is over
	calm    time.Time                     // when all is over that was done to the database
	outage  bool
}

// grant is a lock that somebody has.
type grant struct {
	want
	client *sqllock.Client
	lock   *sqllock.Lock
	lapsed bool // its lease was ended under it: it may be another's
	doubt  bool // or before it was taken
}

// waiting is an Acquire under way.
type waiting struct {
	want
	client *sqllock.Client
	since  time.Time
	cancel context.CancelFunc
	lock   *sqllock.Lock // once done
	err    error
	ended  time.Time
	done   chan struct{}
}

func newMachine(t *testing.T, rt *rapid.T, r rules) *machine {
	m := &machine{rules: r, db: sqllocktest.New(), fences: make(map[int]int64), unclear: make(map[*sqllock.Client]time.Time)}
	for i := range 3 {
		c, err := sqllock.New(t.Context(), m.db, &sqllock.Options{
			TTL: propertyTTL, ReapEvery: -1, Logger: slog.New(slog.DiscardHandler), PollOnly: i == 2,
		})
		if err != nil {
			rt.Fatal(err)
		}
		m.clients = append(m.clients, c)
	}
	t.Cleanup(func() {
		m.db.Outage(false)
		for _, w := range m.waiting {
			w.cancel()
		}
		for _, c := range m.clients {
			_ = c.Close(context.Background()) // what is scripted may be hit by it
		}
	})
	return m
}

// trusted is what is held for certain.
func (m *machine) trusted() []*grant {
	m.held = slices.DeleteFunc(m.held, func(g *grant) bool { return g.lock.Context().Err() != nil })
	return slices.DeleteFunc(m.living(), func(g *grant) bool { return g.doubt })
}

// living is what may be in others' way.
func (m *machine) living() []*grant {
	return slices.DeleteFunc(slices.Clone(m.held), func(g *grant) bool { return g.lapsed })
}

// granted takes note of a lock.
func (m *machine) granted(g *grant) {
	g.doubt = time.Now().Before(m.unclear[g.client])
	m.held, m.fresh = append(m.held, g), append(m.fresh, g)
}

// fencesGrow looks at the locks that were granted in this step, by those who tried and those who waited, in whatever order.
func (m *machine) fencesGrow(t *rapid.T) {
	slices.SortFunc(m.fresh, func(a, b *grant) int { return cmp.Compare(a.lock.Fence(), b.lock.Fence()) })
	for _, g := range m.fresh {
		slot, fence := g.lock.Slot(), g.lock.Fence()
		switch {
		case g.reads:
		case g.n > 0 && slot >= g.n:
			t.Fatalf("permit %d of %d", slot, g.n)
		case fence <= m.fences[slot]:
			t.Fatalf("fence %d after %d", fence, m.fences[slot])
		default:
			m.fences[slot] = fence
		}
	}
	m.fresh = nil
}

// hears takes note of those who have waited.
func (m *machine) hears(t *rapid.T) {
	synctest.Wait()
	m.waiting = slices.DeleteFunc(m.waiting, func(w *waiting) bool {
		select {
		case <-w.done:
		default:
			return false
		}
		switch {
		case w.err == nil:
			m.granted(&grant{want: w.want, client: w.client, lock: w.lock})
		case !m.outage && w.ended.After(m.calm) && !errors.Is(w.err, context.Canceled):
			t.Fatalf("waiting: %v", w.err)
		}
		return true
	})
}

func (m *machine) check(t *rapid.T) {
	m.hears(t)
	m.fencesGrow(t)
	held := m.trusted()
	for i, a := range held {
		for _, b := range held[:i] {
			if !m.rules.mix(a, b) {
				t.Fatalf("held at the same time: %+v with fence %d, %+v with fence %d", a.want, a.lock.Fence(), b.want, b.lock.Fence())
			}
		}
	}
}

// comesToRest: all who wait get their turn, and nothing is left.
func (m *machine) comesToRest(t *rapid.T) {
	m.outage = false
	m.db.Outage(false)
	m.fast()
	for { // those replies that are yet to be lost
		if _, err := m.db.List(context.Background(), dialect.Key{}, true, 1); err == nil {
			break
		}
	}
	time.Sleep(4 * propertyTTL)
	for rounds := len(m.waiting) + 2; ; rounds-- {
		m.check(t)
		for _, g := range slices.Clone(m.held) {
			m.let(t, g)
		}
		if len(m.waiting) == 0 {
			break
		}
		if rounds == 0 {
			t.Fatalf("%d wait, and nothing is held", len(m.waiting))
		}
		time.Sleep(propertyTTL)
	}
	time.Sleep(3 * propertyTTL)
	if _, err := m.clients[0].Reap(context.Background()); err != nil {
		t.Fatal(err)
	}
	rows, err := m.db.List(context.Background(), dialect.Key{}, true, 10)
	if err != nil || len(rows) > 0 {
		t.Fatalf("left: %+v, %v", rows, err)
	}
	queue, err := m.db.Queue(context.Background(), dialect.Key{Name: "n"}, 10)
	if err != nil || len(queue) > 0 {
		t.Fatalf("left in the queue: %+v, %v", queue, err)
	}
	m.try(t)
}
