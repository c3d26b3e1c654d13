package once_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// onceModel is what [once.Do] should remember: the simplest thing that could be right.
type onceModel struct {
	db      *sqllocktest.Dialect
	clients []*sqllock.Client
	kept    map[string]keeping
	called  int
}

type keeping struct {
	text   string
	failed bool
	until  time.Time
}

const onceModelTTL = 2 * time.Second

var modelKeys = []string{"a", "b"}

// TestOnceModel does what programs do, in any order, with faults, and compares each result with the
// model.
func TestOnceModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// rapid would ask a bare T for its deadline, which a bubble doesn't have.
		rapid.Check(struct{ *testing.T }{t}, func(t *rapid.T) {
			m := &onceModel{db: sqllocktest.New(), kept: make(map[string]keeping)}
			for i := range 3 {
				m.clients = append(m.clients, m.client(t, fmt.Sprint("client ", i)))
			}
			defer m.close(t)
			t.Repeat(map[string]func(*rapid.T){
				"once":       m.once,
				"concurrent": m.concurrent,
				"sleep": func(t *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 6000).Draw(t, "ms")) * time.Millisecond)
				},
				"expire":  m.expire,
				"fault":   m.fault,
				"reap":    m.reap,
				"restart": m.restart,
			})
		})
	})
}

func (m *onceModel) client(t *rapid.T, holder string) *sqllock.Client {
	c, err := sqllock.New(context.Background(), m.db, &sqllock.Options{
		Holder: holder, ReapEvery: -1, TTL: onceModelTTL, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (m *onceModel) close(t *rapid.T) {
	for _, c := range m.clients {
		if err := c.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func (m *onceModel) restart(t *rapid.T) {
	i := rapid.IntRange(0, len(m.clients)-1).Draw(t, "client")
	if err := m.clients[i].Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
	m.clients[i] = m.client(t, fmt.Sprint("client ", i))
}

// expire ends all leases, and lets their processes notice that. Otherwise two would do the same
// work, as when clocks run apart.
func (m *onceModel) expire(*rapid.T) {
	m.db.ExpireAllLeases()
	time.Sleep(onceModelTTL)
}

// fault loses replies where a lost reply must make no difference to the caller.
func (m *onceModel) fault(t *rapid.T) {
	op := rapid.SampledFrom([]sqllocktest.Op{
		sqllocktest.OpRecall, sqllocktest.OpRemember, sqllocktest.OpAcquire, sqllocktest.OpRelease, sqllocktest.OpGet,
	}).Draw(t, "op")
	m.db.LoseReplies(op, rapid.IntRange(1, 3).Draw(t, "replies"))
}

func (m *onceModel) reap(t *rapid.T) {
	if _, err := m.clients[0].Reap(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// call is one call of [once.Do], with its result.
type call struct {
	client   *sqllock.Client
	key      string
	text     string
	fail     bool
	remember bool
	keep     time.Duration

	ran        bool
	out        once.Outcome
	err        error
	begun, end time.Time
}

func (m *onceModel) draw(t *rapid.T) *call {
	m.called++
	return &call{
		client:   m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(t, "client")],
		key:      rapid.SampledFrom(modelKeys).Draw(t, "key"),
		text:     fmt.Sprint("result ", m.called),
		fail:     rapid.Bool().Draw(t, "fail"),
		remember: rapid.Bool().Draw(t, "remember"),
		keep:     time.Duration(rapid.IntRange(1000, 9000).Draw(t, "keep")) * time.Millisecond,
	}
}

func (c *call) do() {
	opts := []once.Option{once.Keep(c.keep)}
	if c.remember {
		opts = append(opts, once.RememberFailure())
	}
	c.begun = time.Now()
	c.out, c.err = once.Do(context.Background(), c.client, c.key, func(context.Context, *sqllock.Lock) ([]byte, error) {
		c.ran = true
		time.Sleep(10 * time.Millisecond)
		if c.fail {
			return nil, fmt.Errorf("%s: %w", c.text, errBroken)
		}
		return []byte(c.text), nil
	}, opts...)
	c.end = time.Now()
}

func (m *onceModel) once(t *rapid.T) {
	c := m.draw(t)
	c.do()
	m.check(t, c)
}

// check compares one call, during which there was no other, with the model.
func (m *onceModel) check(t *rapid.T, c *call) {
	was := m.kept[c.key]
	if was.until.After(c.begun) && !was.until.After(c.end) {
		was.until = c.begun // it expired meanwhile, so both results would be right
		if !c.ran {
			was.until = c.end.Add(1)
		}
	}
	if was.until.After(c.end) {
		m.replayed(t, c, was)
		return
	}
	switch {
	case !c.ran:
		t.Fatalf("%s: the work was not done: %+v, %v", c.key, c.out, c.err)
	case c.fail && !errors.Is(c.err, errBroken):
		t.Fatalf("%s: the work failed, and the answer is %v", c.key, c.err)
	case !c.fail && (c.err != nil || string(c.out.Result) != c.text || c.out.Replayed):
		t.Fatalf("%s: the work was done, and the answer is %+v, %v", c.key, c.out, c.err)
	case !c.fail || c.remember:
		m.kept[c.key] = keeping{c.text, c.fail, c.out.At.Add(c.keep)}
	default:
		delete(m.kept, c.key)
	}
}

func (m *onceModel) replayed(t *rapid.T, c *call, want keeping) {
	failed, _ := errors.AsType[*once.OutcomeError](c.err)
	switch {
	case c.ran:
		t.Fatalf("%s: done again, while %+v is remembered", c.key, want)
	case want.failed && (failed == nil || failed.Text != want.text+": broken"):
		t.Fatalf("%s: the answer is %v, want that %s failed before", c.key, c.err, want.text)
	case !want.failed && (c.err != nil || string(c.out.Result) != want.text || !c.out.Replayed):
		t.Fatalf("%s: the answer is %+v, %v; want %s", c.key, c.out, c.err, want.text)
	}
}

// concurrent makes several calls for one key at the same time, with work that doesn't fail: one of
// them does it, or none.
func (m *onceModel) concurrent(t *rapid.T) {
	calls := make([]*call, rapid.IntRange(2, 6).Draw(t, "callers"))
	var all sync.WaitGroup
	for i := range calls {
		calls[i] = m.draw(t)
		calls[i].key, calls[i].fail, calls[i].keep = calls[0].key, false, time.Minute
	}
	for _, c := range calls {
		all.Go(c.do)
	}
	all.Wait()
	was := m.kept[calls[0].key]
	var did []*call
	for _, c := range calls {
		if c.ran {
			did = append(did, c)
		}
		if was.until.After(c.begun) && !was.until.After(c.end) { // see check
			was.until = c.begun
		}
	}
	if was.until.After(calls[0].begun) {
		for _, c := range calls {
			m.replayed(t, c, was)
		}
		return
	}
	if len(did) > 1 || len(did) == 0 && m.kept[calls[0].key].until.Before(calls[0].begun) {
		t.Fatalf("%s: done %d times", calls[0].key, len(did))
	}
	if len(did) == 0 {
		return
	}
	m.kept[did[0].key] = keeping{did[0].text, false, did[0].out.At.Add(did[0].keep)}
	for _, c := range calls {
		if !c.ran && m.kept[c.key].text != string(c.out.Result) && string(c.out.Result) != was.text {
			t.Fatalf("%s: the answer is %+v, %v; want %s", c.key, c.out, c.err, did[0].text)
		}
	}
}
