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

// Whatever some clients do, in any order, and whatever happens to the database meanwhile: locks
// that are held at the same time may be held together, fences grow, what is free can be acquired,
// and nothing is left behind.
func TestProperties(t *testing.T) {
	for name, r := range map[string]rules{"exclusive": exclusiveRules, "shared": sharedRules, "permits": permitRules} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				var failure any // passed out of the bubble, since it is a panic of another goroutine
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

// rethrow panics as the bubble did. rapid distinguishes failures by where they come from. A case
// that was too short for what was drawn is no failure, and comes from elsewhere.
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

// machine is some clients of one database, with what they hold and what they wait for.
type machine struct {
	rules   rules
	db      *sqllocktest.Dialect
	clients []*sqllock.Client
	held    []*grant
	fresh   []*grant // granted in this step
	waiting []*waiting
	fences  map[int]int64                 // by permit
	unclear map[*sqllock.Client]time.Time // until when a client may rely on a lease that is over
	calm    time.Time                     // when the effects of all faults so far are over
	outage  bool
}

// grant is a lock that a client holds.
type grant struct {
	want
	client *sqllock.Client
	lock   *sqllock.Lock
	lapsed bool // its lease was ended while it was held: another may hold it
	doubt  bool // the same, before it was acquired
}

// waiting is an Acquire in progress.
type waiting struct {
	want
	client *sqllock.Client
	since  time.Time
	cancel context.CancelFunc
	lock   *sqllock.Lock // set when done
	err    error
	ended  time.Time
	done   chan struct{}
}

func newMachine(t *testing.T, rt *rapid.T, r rules) *machine {
	m := &machine{
		rules: r, db: sqllocktest.New(), fences: make(map[int]int64), unclear: make(map[*sqllock.Client]time.Time),
	}
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
			_ = c.Close(context.Background()) // scripted faults may affect it
		}
	})
	return m
}

// trusted returns the locks that are held for certain.
func (m *machine) trusted() []*grant {
	m.held = slices.DeleteFunc(m.held, func(g *grant) bool { return g.lock.Context().Err() != nil })
	return slices.DeleteFunc(m.living(), func(g *grant) bool { return g.doubt })
}

// living returns the locks that may keep others waiting.
func (m *machine) living() []*grant {
	return slices.DeleteFunc(slices.Clone(m.held), func(g *grant) bool { return g.lapsed })
}

// granted records a lock.
func (m *machine) granted(g *grant) {
	g.doubt = time.Now().Before(m.unclear[g.client])
	m.held, m.fresh = append(m.held, g), append(m.fresh, g)
}

// fencesGrow checks the locks that were granted in this step, to callers that tried and callers
// that waited, in any order.
func (m *machine) fencesGrow(t *rapid.T) {
	slices.SortFunc(m.fresh, func(a, b *grant) int { return cmp.Compare(a.lock.Fence(), b.lock.Fence()) })
	for _, g := range m.fresh {
		permit, fence := g.lock.Permit(), g.lock.Fence()
		switch {
		case g.reads:
		case g.n > 0 && permit >= g.n:
			t.Fatalf("permit %d of %d", permit, g.n)
		case fence <= m.fences[permit] && g.doubt: // granted before its lease was ended, and arrived after that
		case fence <= m.fences[permit]:
			t.Fatalf("fence %d after %d", fence, m.fences[permit])
		default:
			m.fences[permit] = fence
		}
	}
	m.fresh = nil
}

// collect records the acquisitions that have ended.
func (m *machine) collect(t *rapid.T) {
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
	m.collect(t)
	m.fencesGrow(t)
	held := m.trusted()
	for i, a := range held {
		for _, b := range held[:i] {
			if !m.rules.mix(a, b) {
				t.Fatalf("held at the same time: %+v with fence %d, %+v with fence %d",
					a.want, a.lock.Fence(), b.want, b.lock.Fence())
			}
		}
	}
}

// comesToRest: all waiters get their turn, and nothing is left behind.
func (m *machine) comesToRest(t *rapid.T) {
	m.outage = false
	m.db.Outage(false)
	m.fast()
	for { // replies that are still to be lost
		if _, err := m.db.List(context.Background(), dialect.Key{}, true, 1); err == nil {
			break
		}
	}
	time.Sleep(4 * propertyTTL)
	for rounds := len(m.waiting) + 2; ; rounds-- {
		m.check(t)
		for _, g := range slices.Clone(m.held) {
			m.releaseGrant(t, g)
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
