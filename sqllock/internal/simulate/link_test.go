package simulate

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// The errors of a link.
var (
	errRefused = errors.New("connection refused")
	errCut     = errors.New("connection reset by peer")
	errDead    = errors.New("the process is dead")
)

// link is what is between one process and the database: a pool of connections, on which requests
// and replies travel. It is the process's dialect.
type link struct {
	*sqllocktest.Dialect
	w      *world
	holder string        // the process's
	pool   chan struct{} // holds a token for each connection in use

	calls atomic.Uint64 // counts requests, so that each has a fate of its own
	died  chan struct{} // closed when the process is killed

	mu      sync.Mutex
	faults  []fault
	stopped time.Time // until when the process doesn't run
	opened  []func()  // end what the process has open when it is killed
}

// fault is a fault of a link while it lasts.
type fault struct {
	action action
	until  time.Time
	always bool // it affects every request, and not only some
}

func newLink(w *world, holder string) *link {
	return &link{
		Dialect: w.db, w: w, holder: holder, pool: make(chan struct{}, w.schedule.pool), died: make(chan struct{}),
	}
}

// Classify returns the class of an error of the link, or of the database.
func (l *link) Classify(err error) dialect.Class {
	switch {
	case errors.Is(err, errRefused):
		return dialect.ClassTransient
	case errors.Is(err, errCut):
		return dialect.ClassUnknown
	case errors.Is(err, errDead):
		return dialect.ClassPermanent
	}
	return l.Dialect.Classify(err)
}

func (l *link) dead() bool {
	select {
	case <-l.died:
		return true
	default:
		return false
	}
}

// whenDead makes f be called when the process is killed.
func (l *link) whenDead(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead() {
		f()
		return
	}
	l.opened = append(l.opened, f)
}

// kill ends the process.
func (l *link) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.died)
	for _, f := range l.opened {
		f()
	}
}

// add begins a fault.
func (l *link) add(a action, lasts time.Duration, always bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fault{a, time.Now().Add(lasts), always})
}

// always reports whether there is a fault that affects every request.
func (l *link) always() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.faults, func(f fault) bool { return f.always && f.until.After(time.Now()) })
}

// has returns until when there is such a fault. It returns the zero time if there is none.
func (l *link) has(a action) (until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, f := range l.faults {
		if f.action == a && f.until.After(now) && f.until.After(until) {
			until = f.until
		}
	}
	return until
}

// slept tells the link that the host was suspended for that long, during which a failover goes on.
func (l *link) slept(lasted time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.faults {
		if f.action == former {
			l.faults[i].until = f.until.Add(-lasted)
		}
	}
}

// stop stops the process for that long.
func (l *link) stop(lasts time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(lasts); until.After(l.stopped) {
		l.stopped = until
	}
}

// run returns when the process runs. A stopped process sends and receives nothing, and its
// application does nothing.
func (l *link) run() {
	for {
		l.mu.Lock()
		left := time.Until(l.stopped)
		l.mu.Unlock()
		if left <= 0 || !(leaving{died: l.died}).sleep(left) {
			return
		}
	}
}

// leaving is when a caller leaves: at the end of its ctx, or with its process. The zero value never
// leaves.
type leaving struct{ ctx, died <-chan struct{} }

// sleep sleeps for d. It returns false if the caller leaves first.
func (l leaving) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx:
	case <-l.died:
	}
	return false
}

// fate is what happens to one request.
type fate struct {
	there, back time.Duration
	refused     bool // nothing is carried out, and the caller knows
	lost        bool // it never arrives, and the caller doesn't know
	hangs       bool // there is no error either: the caller waits until its ctx ends
	replyLost   bool // it is carried out, and the caller doesn't know
	late        time.Duration
	again       time.Duration // after this it is carried out once more
}

// fate decides what happens to the next request. It depends on the number of the request and not on
// what was decided before, so that a fault that is left out of a schedule changes little else.
// ordered is for a connection whose requests can't overtake each other.
func (l *link) fate(op string, ordered bool) fate {
	h := fnv.New64a()
	fmt.Fprint(h, l.w.schedule.seed, op, l.calls.Add(1))
	random := h.Sum64()
	part := func(most time.Duration) time.Duration { // of a duration
		random = random*0x9e3779b97f4a7c15 + 1
		return time.Duration(random>>33) % (most + 1)
	}
	often := part(2) > 0 || l.always()
	latency := l.w.schedule.latency
	f := fate{there: part(latency), back: part(latency)}
	// A request that is more than a TTL late may be carried out when nobody expects it any more.
	most := l.w.schedule.ttl * 3 / 4
	is := func(a action) bool { return !l.has(a).IsZero() }
	switch {
	case is(refuse), !l.w.has(outage).IsZero():
		f.refused = true
	case is(silence):
		f.lost, f.hangs = true, true
	case is(loseRequest) && often:
		f.lost = true
	case (is(loseReply) || is(slowLoss)) && often:
		f.replyLost = true
	case ordered:
	case is(delay) && often:
		f.late = 1 + part(most)
	case is(repeat) && often:
		f.replyLost, f.again = true, 1+part(most)
	}
	if is(slow) || is(slowLoss) {
		f.there, f.back = part(most), part(most)
	}
	return f
}

// connection takes a connection from the pool. Call free when it is not in use any more.
func (l *link) connection(ctx context.Context) (free func(), err error) {
	exhausted := func() error {
		if l.dead() {
			return errDead
		}
		return fmt.Errorf("%w: %w", dialect.ErrNoConnection, ctx.Err())
	}
	if until := l.has(crowd); !until.IsZero() && !(leaving{ctx.Done(), l.died}).sleep(time.Until(until)) {
		return nil, exhausted()
	}
	select {
	case l.pool <- struct{}{}:
		return func() { <-l.pool }, nil
	case <-ctx.Done():
	case <-l.died:
	}
	return nil, exhausted()
}

// send sends a request that any connection of the pool can carry. apply carries it out. If it has
// to wait in the database, it does so until its caller leaves.
func send[A any](ctx context.Context, l *link, op string, apply func(leaving) (A, error)) (answer A, err error) {
	if l.dead() {
		return answer, errDead
	}
	l.run()
	if err := ctx.Err(); err != nil {
		return answer, err
	}
	free, err := l.connection(ctx)
	if err != nil {
		l.run()
		return answer, err
	}
	defer free()
	return transmit(ctx, l, op, l.fate(op, false), apply)
}

// transmit sends a request on a connection.
func transmit[A any](
	ctx context.Context, l *link, op string, f fate, carryOut func(leaving) (A, error),
) (answer A, err error) {
	defer l.run()
	defer func() { l.w.trace(l, op, "got %+v, %v", answer, err) }()
	apply := func(caller leaving) (A, error) {
		l.w.readClock()
		answer, err := carryOut(caller)
		l.w.trace(l, op, "was carried out: %+v, %v", answer, err)
		return answer, err
	}
	if f.refused {
		return answer, errRefused
	}
	l.w.requests.Add(1)
	caller := leaving{ctx.Done(), l.died}
	left := func() (none A, err error) {
		if l.dead() {
			return none, errDead
		}
		return none, ctx.Err()
	}
	later := func(after time.Duration) { // nobody waits for it any more
		time.AfterFunc(max(after, 0), func() { _, _ = apply(leaving{}) })
	}
	sent, travels := time.Now(), max(f.there, time.Until(l.w.stands()))
	if travels > 0 && !caller.sleep(travels) {
		if !f.lost {
			later(travels - time.Since(sent))
		}
		return left()
	}
	switch {
	case f.lost && f.hangs:
		select {
		case <-caller.ctx:
		case <-caller.died:
		}
		return left()
	case f.lost:
		return answer, errCut
	case f.late > 0:
		later(f.late)
		return answer, errCut
	}
	reply, err := apply(caller)
	if f.again > 0 {
		later(f.again)
	}
	switch {
	case f.replyLost:
		return answer, errCut
	case f.back > 0 && !caller.sleep(f.back), l.dead():
		return left()
	case err != nil && ctx.Err() != nil:
		return left()
	}
	return reply, err
}
