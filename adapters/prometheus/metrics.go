package prometheuslock

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/observe"
)

// Options are the options of [New]. The zero value of each field is its default.
type Options struct {
	// NameGroup returns the label "group" of a lock's name. The default is [observe.NameGroup]. The
	// name itself is never a label: a program with a lock for each customer would have time series
	// for each customer.
	NameGroup func(name string) string

	// MaxGroups is how many groups have time series of their own; the names beyond that are in the
	// group [observe.Other]. The default is [observe.DefaultMax].
	MaxGroups int
}

// Metrics are the metrics of one Client. They are a [prometheus.Collector], and a tracer for
// [sqllock.Options].Tracer. They are safe for concurrent use.
type Metrics struct {
	groups observe.Groups

	acquires, waits, holds *prometheus.HistogramVec
	heartbeats, guards     *prometheus.HistogramVec
	leaders, terms         *prometheus.GaugeVec

	mu     sync.Mutex // guards the fields below
	client *sqllock.Client
	active map[activityLabels]map[*activity]struct{} // what goes on
}

// A tracer implements what it traces by the names of its methods, so the compiler has to check.
var (
	_ prometheus.Collector    = (*Metrics)(nil)
	_ sqllock.AcquireTracer   = (*Metrics)(nil)
	_ sqllock.WaitTracer      = (*Metrics)(nil)
	_ sqllock.HoldTracer      = (*Metrics)(nil)
	_ sqllock.HeartbeatTracer = (*Metrics)(nil)
	_ sqllock.GuardTracer     = (*Metrics)(nil)
	_ sqllock.TermTracer      = (*Metrics)(nil)
)

// New returns the metrics of one Client. Pass them to [sqllock.New] as the Tracer, pass the Client
// to [Metrics.Watch], and register them. opts may be nil. A program with several Clients makes
// Metrics for each, and registers them with a label that distinguishes them
// ([prometheus.WrapRegistererWith]).
func New(opts *Options) *Metrics {
	if opts == nil {
		opts = &Options{}
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"group"})
	}
	m := &Metrics{
		groups: observe.Groups{Of: opts.NameGroup, Max: opts.MaxGroups},
		acquires: histogram("sqllock_acquire_duration_seconds",
			"How long acquisitions took, including the wait.", observe.LongBuckets(),
			"kind", "mode", "outcome", "group"),
		waits: histogram("sqllock_wait_duration_seconds",
			"How long acquisitions waited for a holder, of those that had to.", observe.LongBuckets(),
			"kind", "mode", "outcome", "group"),
		holds: histogram("sqllock_hold_duration_seconds",
			"How long locks were held.", observe.LongBuckets(), "kind", "mode", "end", "group"),
		heartbeats: histogram("sqllock_heartbeat_duration_seconds",
			"How long heartbeats took.", observe.Buckets(), "outcome"),
		guards: histogram("sqllock_guard_duration_seconds",
			"How long guards took.", observe.Buckets(), "outcome", "group"),
		leaders: gauge("sqllock_leader", "Elections of the group that this process leads now."),
		terms:   gauge("sqllock_term", "The number of the latest term of this process."),
		active:  make(map[activityLabels]map[*activity]struct{}),
	}
	for _, outcome := range []string{succeeded, failed} {
		m.heartbeats.WithLabelValues(outcome)
	}
	return m
}

// The outcomes of heartbeats and guards.
const (
	succeeded = "ok"
	refused   = "refused" // by a guard, because the lock is lost
	failed    = "failed"
)

// Watch adds the Client's [sqllock.Stats] to what is collected.
func (m *Metrics) Watch(c *sqllock.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client = c
}

// Preregister creates the time series of the groups for locks of that kind, so that a board shows
// zero instead of nothing before the first acquisition, and so that the increase of a counter from
// zero is seen. For [sqllock.KindElection], a group is that of an election's name.
func (m *Metrics) Preregister(kind sqllock.Kind, groups ...string) {
	for _, group := range groups {
		if !m.groups.Add(group) {
			group = observe.Other
		}
		for _, mode := range modesOf(kind) {
			for _, outcome := range outcomes {
				m.acquires.WithLabelValues(string(kind), mode, string(outcome), group)
				m.waits.WithLabelValues(string(kind), mode, string(outcome), group)
			}
			for _, end := range ends {
				m.holds.WithLabelValues(string(kind), mode, string(end), group)
			}
		}
		for _, outcome := range []string{succeeded, refused, failed} {
			m.guards.WithLabelValues(outcome, group)
		}
		m.mu.Lock()
		for _, what := range []string{waiting, holding} {
			m.of(activityLabels{what, string(kind), group})
		}
		m.mu.Unlock()
		if kind == sqllock.KindElection {
			m.leaders.WithLabelValues(group)
		}
	}
}

var (
	outcomes = []sqllock.Outcome{
		sqllock.OutcomeAcquired, sqllock.OutcomeNotAcquired, sqllock.OutcomeGaveUp, sqllock.OutcomeDeadlock,
		sqllock.OutcomeClosed, sqllock.OutcomeFailed,
	}
	ends = []sqllock.End{sqllock.EndReleased, sqllock.EndLost, sqllock.EndBroken, sqllock.EndClosed}
)

// modesOf returns the modes of the locks of that kind.
func modesOf(kind sqllock.Kind) []string {
	if kind == sqllock.KindRWLock || kind == sqllock.KindSession {
		return []string{mode(false), mode(true)}
	}
	return []string{mode(false)}
}

func mode(shared bool) string {
	if shared {
		return "shared"
	}
	return "exclusive"
}

// labels returns the labels of an event of a lock. last is its outcome, or how it ended.
func (m *Metrics) labels(lock sqllock.LockData, last string) []string {
	return []string{string(lock.Kind), mode(lock.Shared), last, m.groups.Group(lock.Name)}
}

// AcquireStart implements [sqllock.AcquireTracer].
func (m *Metrics) AcquireStart(ctx context.Context, data sqllock.AcquireStartData) context.Context {
	if data.Kind == sqllock.KindElection { // a candidate shows that it does not lead yet
		m.leaders.WithLabelValues(m.groups.Group(data.Name))
	}
	return ctx
}

// AcquireEnd implements [sqllock.AcquireTracer].
func (m *Metrics) AcquireEnd(_ context.Context, data sqllock.AcquireEndData) {
	m.acquires.WithLabelValues(m.labels(data.LockData, string(data.Outcome))...).Observe(data.Duration.Seconds())
}

// WaitStart implements [sqllock.WaitTracer].
func (m *Metrics) WaitStart(ctx context.Context, data sqllock.WaitStartData) context.Context {
	return m.begin(ctx, waiting, data.LockData)
}

// WaitEnd implements [sqllock.WaitTracer].
func (m *Metrics) WaitEnd(ctx context.Context, data sqllock.WaitEndData) {
	m.end(ctx, waiting)
	m.waits.WithLabelValues(m.labels(data.LockData, string(data.Outcome))...).Observe(data.Duration.Seconds())
}

// HoldStart implements [sqllock.HoldTracer].
func (m *Metrics) HoldStart(ctx context.Context, data sqllock.HoldStartData) context.Context {
	return m.begin(ctx, holding, data.LockData)
}

// HoldEnd implements [sqllock.HoldTracer].
func (m *Metrics) HoldEnd(ctx context.Context, data sqllock.HoldEndData) {
	m.end(ctx, holding)
	m.holds.WithLabelValues(m.labels(data.LockData, string(data.End))...).Observe(data.Duration.Seconds())
}

// HeartbeatStart implements [sqllock.HeartbeatTracer].
func (m *Metrics) HeartbeatStart(ctx context.Context, _ sqllock.HeartbeatStartData) context.Context {
	return ctx
}

// HeartbeatEnd implements [sqllock.HeartbeatTracer].
func (m *Metrics) HeartbeatEnd(_ context.Context, data sqllock.HeartbeatEndData) {
	outcome := succeeded
	if data.Err != nil {
		outcome = failed
	}
	m.heartbeats.WithLabelValues(outcome).Observe(data.Duration.Seconds())
}

// GuardStart implements [sqllock.GuardTracer].
func (m *Metrics) GuardStart(ctx context.Context, _ sqllock.GuardStartData) context.Context {
	return ctx
}

// GuardEnd implements [sqllock.GuardTracer].
func (m *Metrics) GuardEnd(_ context.Context, data sqllock.GuardEndData) {
	outcome := succeeded
	switch {
	case data.Refused:
		outcome = refused
	case data.Err != nil:
		outcome = failed
	}
	m.guards.WithLabelValues(outcome, m.groups.Group(data.Name)).Observe(data.Duration.Seconds())
}

// TermStart implements [sqllock.TermTracer].
func (m *Metrics) TermStart(ctx context.Context, data sqllock.TermStartData) context.Context {
	group := m.groups.Group(data.Election)
	m.leaders.WithLabelValues(group).Inc()
	m.terms.WithLabelValues(group).Set(float64(data.Number))
	return ctx
}

// TermEnd implements [sqllock.TermTracer].
func (m *Metrics) TermEnd(_ context.Context, data sqllock.TermEndData) {
	m.leaders.WithLabelValues(m.groups.Group(data.Election)).Dec()
}

// What goes on.
const (
	waiting = "wait"
	holding = "hold"
)

// activityLabels are the labels of a wait or a hold that goes on.
type activityLabels struct{ what, kind, group string }

// activity is a wait or a hold that goes on.
type activity struct {
	activityLabels
	since time.Time
}

// activityKey is the key by which the context of an activity has it.
type activityKey struct {
	m    *Metrics
	what string
}

// of returns the activities with those labels. The caller holds mu.
func (m *Metrics) of(labels activityLabels) map[*activity]struct{} {
	if m.active[labels] == nil {
		m.active[labels] = make(map[*activity]struct{})
	}
	return m.active[labels]
}

// begin notes that an activity has begun.
func (m *Metrics) begin(ctx context.Context, what string, lock sqllock.LockData) context.Context {
	a := &activity{activityLabels{what, string(lock.Kind), m.groups.Group(lock.Name)}, time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(a.activityLabels)[a] = struct{}{}
	return context.WithValue(ctx, activityKey{m, what}, a)
}

func (m *Metrics) end(ctx context.Context, what string) {
	if a, ok := ctx.Value(activityKey{m, what}).(*activity); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.active[a.activityLabels], a)
	}
}

// longest returns for how long the longest of these activities has gone on; 0 if there is none.
func (m *Metrics) longest() map[activityLabels]time.Duration {
	longest := make(map[activityLabels]time.Duration)
	m.mu.Lock()
	defer m.mu.Unlock()
	for labels, activities := range m.active {
		longest[labels] = 0
		for a := range activities {
			longest[labels] = max(longest[labels], time.Since(a.since))
		}
	}
	return longest
}
