package election_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

const (
	modelTTL   = 3 * time.Second
	checkEvery = time.Second // how often a leader checks whether it is asked to hand over
)

// runner is a candidate of the model: a process of its own, with a connection of its own to the
// database.
type runner struct {
	db     *cuttable
	client *sqllock.Client
	e      *election.Election

	quit    context.CancelFunc  // nil if it doesn't campaign
	outcome chan *election.Term // the result of its campaign; nil if there is none
	term    *election.Term      // the term that it leads or led last
	leads   bool                // it leads, as far as the model knows: nothing has ended the term
	cutAt   time.Time           // since when it is cut off; zero if it isn't
	shaken  bool                // it may lose its term, since heartbeats failed that have not all been made good
}

// model is what follows from what was done to an election: who campaigns, who leads and can't have
// lost the lead, and the greatest number of a term.
type model struct {
	db       *sqllocktest.Dialect
	runners  []*runner
	witness  *election.Election
	greatest int64
}

func newModel(t *rapid.T) *model {
	m := &model{db: sqllocktest.New()}
	connect := func(db *cuttable) (*sqllock.Client, *election.Election) {
		c, err := sqllock.New(t.Context(), db, &sqllock.Options{
			TTL: modelTTL, ReapEvery: -1, Logger: slog.New(slog.DiscardHandler),
			PollOnly: rapid.Bool().Draw(t, "polls"),
		})
		if err != nil {
			t.Fatal(err)
		}
		e, err := election.New(c, "boss", election.Priority(rapid.IntRange(-1, 1).Draw(t, "priority")))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			db.off.Store(false)
			if err := c.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return c, e
	}
	for range 3 {
		r := &runner{db: &cuttable{Dialect: m.db}}
		r.client, r.e = connect(r.db)
		m.runners = append(m.runners, r)
	}
	_, m.witness = connect(&cuttable{Dialect: m.db})
	return m
}

// any draws one of the runners for which ok is true, or skips the action.
func (m *model) any(t *rapid.T, ok func(*runner) bool) *runner {
	var fit []int
	for i, r := range m.runners {
		if ok(r) {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		t.Skip("nobody fits")
	}
	return m.runners[rapid.SampledFrom(fit).Draw(t, "who")]
}

func (m *model) campaign(t *rapid.T) {
	r := m.any(t, func(r *runner) bool { return r.outcome == nil && !r.leads })
	ctx, quit := context.WithCancel(t.Context())
	r.quit, r.outcome = quit, make(chan *election.Term, 1)
	go func(outcome chan<- *election.Term) {
		term, _ := r.e.Campaign(ctx) // on an error, it gave up or is cut off
		outcome <- term
	}(r.outcome)
}

func (m *model) giveUp(t *rapid.T) {
	m.any(t, func(r *runner) bool { return r.outcome != nil }).quit()
}

func (m *model) resign(t *rapid.T) {
	m.end(t, m.any(t, func(r *runner) bool { return r.leads && r.cutAt.IsZero() }))
}

func (m *model) end(t *rapid.T, r *runner) {
	r.leads = false
	// If heartbeats had failed, the lease may end while lost replies are waited out.
	if err := r.term.Resign(t.Context()); err != nil && !(r.shaken && errors.Is(err, sqllock.ErrLost)) {
		t.Errorf("Resign: %v", err)
	}
}

func (m *model) cut(t *rapid.T) {
	r := m.any(t, func(r *runner) bool { return r.cutAt.IsZero() })
	r.db.off.Store(true)
	r.cutAt, r.shaken = time.Now(), true
}

func (m *model) mend(t *rapid.T) {
	r := m.any(t, func(r *runner) bool { return !r.cutAt.IsZero() })
	r.db.off.Store(false)
	r.cutAt = time.Time{}
}

func (m *model) pass(t *rapid.T) {
	time.Sleep(time.Duration(rapid.Int64Range(0, int64(2*modelTTL)).Draw(t, "time")))
}

func (m *model) loseReplies(t *rapid.T) {
	op := rapid.SampledFrom([]sqllocktest.Op{
		sqllocktest.OpAcquire, sqllocktest.OpRelease, sqllocktest.OpRenewLeases,
		sqllocktest.OpEnqueue, sqllocktest.OpDequeue,
	}).Draw(t, "op")
	m.db.LoseReplies(op, rapid.IntRange(1, 3).Draw(t, "replies"))
	for _, r := range m.runners {
		r.shaken = r.shaken || op == sqllocktest.OpRenewLeases
	}
}

// handOver: a leader that can be asked notices that, resigns, and then HandOver returns.
func (m *model) handOver(t *rapid.T) {
	r := m.any(t, func(r *runner) bool { return r.leads && r.cutAt.IsZero() })
	asked := r.term.HandOverAsked()
	done := make(chan error, 1)
	go func() { done <- m.witness.HandOver(t.Context()) }()
	select {
	case <-asked:
		m.end(t, r)
	case <-r.term.Context().Done(): // lost; check finds out whether that is allowed
	case <-time.After(2*checkEvery + modelTTL): // an earlier request may last for a TTL
		t.Fatal("a leader wasn't asked to hand over")
	}
	if err := <-done; err != nil {
		t.Errorf("HandOver: %v", err)
	}
}

// heal lets everything heal; then somebody leads if anybody campaigns.
func (m *model) heal(t *rapid.T) {
	for _, r := range m.runners {
		r.db.off.Store(false)
		r.cutAt = time.Time{}
	}
	time.Sleep(4 * modelTTL)
	m.check(t)
	l, ok, err := m.witness.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	campaigning, leading := 0, 0
	for _, r := range m.runners {
		r.shaken = false
		if r.outcome != nil {
			campaigning++
		}
		if r.leads {
			leading++
		}
	}
	if campaigning > 0 && leading == 0 || ok != (leading > 0) {
		t.Errorf("%d campaign and %d lead; the database says %+v", campaigning, leading, l)
	}
}

// check compares the model with the election.
func (m *model) check(t *rapid.T) {
	synctest.Wait()
	before := m.greatest
	for _, r := range m.runners {
		m.collect(t, r, before)
	}
	var trusted []*election.Term
	for i, r := range m.runners {
		if r.term == nil {
			continue
		}
		ended := r.term.Context().Err() != nil
		if !ended {
			trusted = append(trusted, r.term)
		}
		switch cut := !r.cutAt.IsZero(); {
		case r.leads && cut && time.Since(r.cutAt) >= modelTTL && !ended:
			t.Errorf("%d trusts its term though it is cut off since %s", i, time.Since(r.cutAt))
		case r.leads && ended && !errors.Is(context.Cause(r.term.Context()), sqllock.ErrLost):
			t.Errorf("the term of %d ended: %v", i, context.Cause(r.term.Context()))
		case r.leads && ended:
			r.leads = false
			if !r.shaken {
				t.Errorf("%d lost its term, and no heartbeat had failed: %v", i, context.Cause(r.term.Context()))
			}
		case !r.leads && !ended:
			t.Errorf("%d leads, and shouldn't", i)
		}
	}
	if len(trusted) > 1 {
		t.Errorf("%d lead at once: terms %d, %d", len(trusted), trusted[0].Number(), trusted[1].Number())
	}
	if len(trusted) == 1 {
		if l, ok, err := m.witness.Leader(t.Context()); err != nil || !ok || l.Term != trusted[0].Number() {
			t.Errorf("Leader = %+v, %v, %v; the leader's term is %d", l, ok, err, trusted[0].Number())
		}
	}
}

// collect records the end of a campaign.
func (m *model) collect(t *rapid.T, r *runner, before int64) {
	if r.outcome == nil {
		return
	}
	select {
	case term := <-r.outcome:
		r.quit()
		r.quit, r.outcome = nil, nil
		if term == nil {
			return
		}
		if term.Number() <= before {
			t.Errorf("term %d after term %d", term.Number(), before)
		}
		r.term, r.leads = term, true
		m.greatest = max(m.greatest, term.Number())
	default:
	}
}

// TestElectionModel does whatever can be done to an election, in any order, and compares it with
// the model: at most one candidate leads, terms grow, no term is lost without a reason, and
// somebody leads if somebody can.
func TestElectionModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := newModel(t)
			t.Repeat(map[string]func(*rapid.T){
				"":             m.check,
				"campaign":     m.campaign,
				"give up":      m.giveUp,
				"resign":       m.resign,
				"cut":          m.cut,
				"mend":         m.mend,
				"pass":         m.pass,
				"lose replies": m.loseReplies,
				"hand over":    m.handOver,
				"heal":         m.heal,
			})
		})
	})
}
