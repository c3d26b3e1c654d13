package sqllock_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"try": m.try, "wait": m.wait, "give up": m.giveUp, "release": m.release, "expire": m.expire,
		"lose replies": m.loseReplies,
		"delay":        m.delay, "outage": m.outageFor, "reap": m.reap, "idle": m.idle, "": m.check,
	}
}

// pick draws one element by its index, which can be shown.
func pick[E any](t *rapid.T, what string, of []E) E {
	return of[rapid.IntRange(0, len(of)-1).Draw(t, what)]
}

func (m *machine) client(t *rapid.T) *sqllock.Client { return pick(t, "client", m.clients) }

// disturbed: for a while, a caller may be refused a lock that isn't held, or get an error.
func (m *machine) disturbed() { m.disturb(3 * propertyTTL) }

func (m *machine) disturb(d time.Duration) {
	if until := time.Now().Add(d); until.After(m.calm) {
		m.calm = until
	}
}

func (m *machine) isCalm() bool { return !m.outage && time.Now().After(m.calm) }

func (m *machine) try(t *rapid.T) {
	c, w := m.client(t), m.rules.want(t)
	before := m.living()
	lock, err := locktest.TryAcquire(context.Background(), c, "n", w.options()...)
	switch {
	case err == nil:
		m.granted(&grant{want: w, client: c, lock: lock})
	case !m.isCalm():
	case !errors.Is(err, sqllock.ErrNotAcquired):
		t.Fatalf("trying for %+v: %v", w, err)
	case len(m.waiting) == 0 && !m.rules.full(before, w):
		t.Fatalf("%+v is free, and was refused: %v", w, err)
	}
}

func (m *machine) wait(t *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &waiting{
		want: m.rules.want(t), client: m.client(t), since: time.Now(), cancel: cancel, done: make(chan struct{}),
	}
	m.waiting = append(m.waiting, w)
	go func() {
		defer close(w.done)
		w.lock, w.err = locktest.Acquire(ctx, w.client, "n", w.options()...)
		w.ended = time.Now()
	}()
}

func (m *machine) giveUp(t *rapid.T) {
	if len(m.waiting) == 0 {
		return
	}
	pick(t, "waiting", m.waiting).cancel()
	m.disturb(time.Second) // its calls in progress go on, and what they get is released
}

func (m *machine) release(t *rapid.T) {
	if len(m.held) == 0 {
		return
	}
	m.releaseGrant(t, pick(t, "held", m.held))
}

// releaseGrant releases a lock, which succeeds if the lock can be trusted.
func (m *machine) releaseGrant(t *rapid.T, g *grant) {
	m.held = slices.DeleteFunc(m.held, func(h *grant) bool { return h == g })
	trusted := g.lock.Context().Err() == nil && !g.lapsed && !g.doubt
	err := g.lock.Release(context.Background())
	if err != nil && trusted && m.isCalm() {
		t.Fatalf("releasing a lock that is held: %v", err)
	}
}

func (m *machine) expire(*rapid.T) {
	m.db.ExpireAllLeases()
	for _, g := range m.held {
		g.lapsed = true
	}
	for _, c := range m.clients {
		m.unclear[c] = time.Now().Add(propertyTTL)
	}
}

func (m *machine) loseReplies(t *rapid.T) {
	m.db.LoseReplies(sqllocktest.Any, rapid.IntRange(1, 3).Draw(t, "replies"))
	m.disturbed()
}

func (m *machine) delay(t *rapid.T) {
	ms := rapid.SampledFrom([]int{0, 5, 100, 3000, 12000}).Draw(t, "ms")
	m.db.Delay(sqllocktest.Any, time.Duration(ms)*time.Millisecond)
	m.calm = time.Now().Add(1000 * time.Hour)
	if rapid.Bool().Draw(t, "passes") {
		m.idle(t)
		m.fast()
	}
}

// fast ends a delay.
func (m *machine) fast() {
	m.db.Delay(sqllocktest.Any, 0)
	m.calm = time.Time{}
	m.disturbed()
}

func (m *machine) outageFor(t *rapid.T) {
	m.outage = !m.outage
	m.db.Outage(m.outage)
	m.disturbed()
}

func (m *machine) reap(t *rapid.T) {
	_, _ = m.client(t).Reap(context.Background()) // it gives up if a reply is lost
}

func (m *machine) idle(t *rapid.T) {
	idle := []time.Duration{time.Millisecond, 300 * time.Millisecond, 4 * time.Second, 30 * time.Second}
	time.Sleep(rapid.SampledFrom(idle).Draw(t, "idle"))
}
