package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/internal/recipe"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/once"
)

// mostPermits is the number of permits of the semaphores. Some callers pass a smaller one.
const mostPermits = 3

// does does the work of an event.
func (p *process) does(e event) {
	p.link.run()
	ctx, cancel := p.ctx, func() {}
	if e.wait > 0 {
		ctx, cancel = context.WithTimeout(ctx, e.wait)
	}
	defer cancel()
	switch e.action {
	case hold:
		p.locks(ctx, e)
	case holdFair:
		p.locks(ctx, e, sqllock.Fair())
	case holdBarred:
		p.locks(ctx, e, sqllock.HoldAtLeast(p.w.schedule.ttl/2))
	case holdDelayed:
		p.locks(ctx, e, sqllock.LockDelay(p.w.schedule.ttl/2))
	case try:
		lock, err := p.client.TryAcquire(ctx, exclusive(e.name))
		p.tried(e, err)
		p.uses(ctx, e, lock, err)
	case nested:
		p.nests(ctx, e)
	case set:
		p.takesSet(ctx, e)
	case write, tryWrite, read, tryRead:
		p.shares(ctx, e)
	case permit:
		permits := 1 + e.n%mostPermits
		lock, err := p.client.Semaphore(fmt.Sprint("pool", e.name), permits).Acquire(ctx)
		p.waited(ctx, e, err)
		if err == nil && lock.Permit() >= permits {
			p.w.ledger.violated("no more holders than permits", "%s has permit %d of %d",
				p.holder, lock.Permit(), permits)
		}
		p.uses(ctx, e, lock, err)
	case permitFair:
		lock, err := p.client.Semaphore(fmt.Sprint("pool", e.name), mostPermits).Acquire(ctx, sqllock.Fair())
		p.waited(ctx, e, err)
		p.uses(ctx, e, lock, err)
	case session, sessionRead:
		p.locksSession(ctx, e)
	case onceDo:
		p.worksOnce(ctx, e)
	case lead, campaign, handOver, handOverTo:
		p.elects(ctx, e)
	case reap:
		_, err := p.client.Reap(ctx)
		p.tried(e, err)
	case closeProcess:
		if p.close(); p.w.ledger.found() == nil { // otherwise the round ends
			p.w.start(p.number)
		}
	default:
		panic("unknown action " + e.action)
	}
}

func exclusive(n int) string { return fmt.Sprint("x", n) }

// never are errors that nothing in a schedule can cause.
var never = []error{
	sqllock.ErrInvalid, sqllock.ErrUnsupported, sqllock.ErrSchema, sqllock.ErrNotHeld, once.ErrFailedBefore,
}

// tried checks the error of a call.
func (p *process) tried(e event, err error) {
	for _, is := range never {
		if errors.Is(err, is) {
			p.w.ledger.violated("errors say what happened", "%s of %s: %v", e.action, p.holder, err)
		}
	}
}

// waited checks the error of a call that waits until its ctx ends.
func (p *process) waited(ctx context.Context, e event, err error) {
	p.tried(e, err)
	if e.action == set && errors.Is(err, sqllock.ErrDeadlock) { // with a caller that takes a lock under a lock
		return
	}
	if err != nil && ctx.Err() == nil && !p.gone() {
		p.w.ledger.violated("waiting waits", "%s of %s: %v", e.action, p.holder, err)
	}
}

// guarding is a lock or a term.
type guarding interface {
	Context() context.Context
	Guard(ctx context.Context, tx sqllock.Tx) error
}

func (p *process) locks(ctx context.Context, e event, opts ...sqllock.Option) {
	lock, err := p.client.Acquire(ctx, exclusive(e.name), opts...)
	p.waited(ctx, e, err)
	p.uses(ctx, e, lock, err)
}

// uses does something under a lock, if there is one, and releases it.
func (p *process) uses(ctx context.Context, e event, lock *sqllock.Lock, err error) {
	if err != nil {
		return
	}
	h := p.holding(e, lock)
	h.later = e.action == nested // the row for deadlocks was removed first
	p.w.ledger.granted(h)
	p.workUnder(e, h, lock)
	p.releases(e, h, func() error { return lock.Release(ctx) })
}

func (p *process) releases(e event, h *held, release func() error) {
	p.tried(e, release()) // its ctx ends before the database hears of it
	p.w.ledger.released(h)
}

// holding returns what the ledger has to know about a lock.
func (p *process) holding(e event, lock *sqllock.Lock) *held {
	claim := recipe.Of[*sqllock.Lock](p.client).Claim(lock)
	key := claim.Key
	h := &held{
		process: p, action: e.action, key: key, scope: key, ctx: lock.Context(),
		owner: claim.Owner, fence: lock.Fence(),
	}
	switch {
	case key.Slot >= request.SlotReaders:
		h.shared, h.scope.Slot = true, request.SlotWriter
	case lock.Kind() == sqllock.KindSemaphore:
		h.permits, h.scope.Slot = mostPermits, request.SlotPermits
	}
	return h
}

// workUnder works under something that is held.
func (p *process) workUnder(e event, h *held, lock guarding) {
	ctx := h.ctx
	if e.n%4 == 0 {
		ctx = p.ctx // it doesn't notice a loss at once
	}
	for end := time.Now().Add(e.lasts); time.Now().Before(end) && ctx.Err() == nil && !p.dead(); {
		leaving{ctx.Done(), p.link.died}.sleep(min(time.Until(end), p.w.schedule.ttl/16))
		p.w.ledger.check(h)
	}
	p.link.run()
	if lock != nil && e.n%4 < 3 {
		p.writes(h, lock)
	}
}

// writes writes in a transaction that guards the lock.
func (p *process) writes(h *held, lock guarding) {
	if p.dead() {
		return
	}
	t := p.w.begin()
	rollBack := func() { p.w.afterNotice(func() { t.end(nil) }) }
	p.link.whenDead(rollBack)
	ctx, cancel := context.WithTimeout(p.ctx, p.w.schedule.ttl)
	defer cancel()
	if err := lock.Guard(ctx, t); err != nil {
		rollBack()
		return
	}
	p.sleep(p.ctx, p.w.schedule.ttl/20)
	_, err := transmit(ctx, p.link, "Commit", p.link.fate("Commit", true), func(leaving) (bool, error) {
		return t.end(func() { p.w.ledger.wrote(h) }), nil
	})
	if err != nil {
		rollBack()
	}
}

// nests takes a lock while it holds another.
func (p *process) nests(ctx context.Context, e event) {
	first, second := exclusive(e.n%2), exclusive(1-e.n%2)
	outer, err := p.client.Acquire(ctx, first)
	p.waited(ctx, e, err)
	if err != nil {
		return
	}
	h := p.holding(e, outer)
	p.w.ledger.granted(h)
	p.sleep(outer.Context(), e.lasts)
	inner, err := p.client.Acquire(outer.Context(), second)
	p.tried(e, err)
	p.uses(ctx, e, inner, err)
	p.releases(e, h, func() error { return outer.Release(ctx) })
}

// takesSet takes several locks, all or none.
func (p *process) takesSet(ctx context.Context, e event) {
	names := []string{exclusive(2), exclusive(1), exclusive(0)}[:2+e.n%2]
	var opts []sqllock.SetOption
	if e.n%5 == 0 {
		opts = append(opts, sqllock.Fair())
	}
	s, err := p.client.AcquireAll(ctx, names, opts...)
	p.waited(ctx, e, err)
	if err != nil {
		return
	}
	var all []*held
	for _, lock := range s.Locks() {
		h := p.holding(e, lock)
		p.w.ledger.granted(h)
		all = append(all, h)
	}
	p.workUnder(e, all[0], s.Locks()[0])
	for _, h := range all {
		p.w.ledger.check(h)
	}
	p.tried(e, s.Release(ctx))
	for _, h := range all {
		p.w.ledger.released(h)
	}
}

// shares takes an RWLock.
func (p *process) shares(ctx context.Context, e event) {
	rw := p.client.RWLock(fmt.Sprint("rw", e.name))
	var lock *sqllock.Lock
	var err error
	switch e.action {
	case write:
		lock, err = rw.Acquire(ctx)
		p.waited(ctx, e, err)
	case read:
		lock, err = rw.AcquireShared(ctx)
		p.waited(ctx, e, err)
	case tryWrite:
		lock, err = rw.TryAcquire(ctx)
		p.tried(e, err)
	default:
		lock, err = rw.TryAcquireShared(ctx)
		p.tried(e, err)
	}
	p.uses(ctx, e, lock, err)
}

// locksSession takes a session lock.
func (p *process) locksSession(ctx context.Context, e event) {
	s := p.client.Session(fmt.Sprint("session", e.name))
	take := s.Acquire
	if e.action == sessionRead {
		take = s.AcquireShared
	}
	lock, err := take(ctx)
	p.waited(ctx, e, err)
	if err != nil {
		return
	}
	key := dialect.Key{Name: lock.Name(), Slot: sessionSlot}
	h := &held{process: p, action: e.action, key: key, scope: key, ctx: lock.Context(), shared: e.action == sessionRead}
	p.w.ledger.granted(h)
	p.workUnder(e, h, nil)
	p.releases(e, h, func() error { return lock.Release(ctx) })
}

var errWork = errors.New("the work failed")

// worksOnce does work that is to be done once.
func (p *process) worksOnce(ctx context.Context, e event) {
	key := fmt.Sprint("job", e.name, e.n%4)
	var h *held
	out, err := once.Do(ctx, p.client, key, func(_ context.Context, lock *sqllock.Lock) ([]byte, error) {
		p.w.ledger.worked(lock.Context(), key)
		h = p.holding(e, lock)
		h.later = true
		p.w.ledger.granted(h)
		p.workUnder(e, h, lock)
		if e.n%5 == 0 {
			return nil, errWork
		}
		return []byte(fmt.Sprint(p.holder, " under ", lock.Fence())), nil
	}, once.Keep(30*24*time.Hour))
	if err == nil {
		p.w.ledger.remembered(key, string(out.Result))
	}
	p.w.ledger.released(h)
	p.tried(e, err)
}

// elects takes part in an election.
func (p *process) elects(ctx context.Context, e event) {
	el, err := election.New(p.client, "lead", election.Priority(e.n%3))
	if err != nil {
		p.w.ledger.violated("errors say what happened", "%v", err)
		return
	}
	switch e.action {
	case lead:
		var h *held
		p.tried(e, el.Run(ctx, func(_ context.Context, term *election.Term) error {
			h = p.leads(e, term)
			p.workUnder(e, h, term)
			return nil
		}))
		p.w.ledger.released(h)
	case campaign:
		term, err := el.Campaign(ctx)
		p.waited(ctx, e, err)
		if err == nil {
			h := p.leads(e, term)
			p.workUnder(e, h, term)
			p.releases(e, h, func() error { return term.Resign(ctx) })
		}
	case handOver:
		p.tried(e, el.HandOver(ctx))
	default:
		p.tried(e, el.HandOverTo(ctx, p.w.process(e.n%p.w.schedule.processes).holder))
	}
}

// leads records a term.
func (p *process) leads(e event, term *election.Term) *held {
	key := dialect.Key{Name: "lead", Slot: request.SlotElection}
	h := &held{
		process: p, action: e.action, key: key, scope: key, ctx: term.Context(), fence: term.Number(), later: true,
	}
	p.w.ledger.led(term.Number(), p.holder)
	p.w.ledger.granted(h)
	return h
}
