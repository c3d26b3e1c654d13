package sqllock

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// seat is a waiter's place in the database's queue. Its owner token is used for nothing but what is handed over to that
// place: so, whatever becomes of it, releasing that token gives back what nobody took. A nil seat is none.
type seat struct {
	c       *Client
	lease   *lease // of which it is a user
	request dialect.Request
	unsure  bool          // a try to take the place was lost: it may be carried out late
	over    atomic.Bool   // it was left, or has become a lock
	out     chan struct{} // closed when it was left, and its row is gone

	ear  *hearing              // nil: it polls
	news chan dialect.Handover // with room for one
}

// sit takes a place in the queue. Who says what it holds isn't there to be told of anything: see deadlock.go.
func (c *Client) sit(ctx context.Context, w wish, holds string) (*seat, error) {
	ctx = c.operation(ctx)
	l, err := c.lease(ctx, w.term())
	if err != nil {
		return nil, err
	}
	s := &seat{c: c, lease: l, request: w.request(l), news: make(chan dialect.Handover, 1), out: make(chan struct{})}
	switch {
	case holds != "": // a row that says what it holds, and to which nothing is handed over
	case w.shared && !l.knowsReaders(w.name): // it waits for the exclusive lock yet
	default:
		s.request.Key = w.queue()
	}
	if holds == "" && !w.polls() {
		s.ear = c.ear.listen(ctx, s)
	}
	s.unsure, err = c.retry(ctx, func(ctx context.Context) error {
		_, err := c.dialect.Enqueue(ctx, []dialect.Waiter{{Request: s.request, Channel: s.ear.channel(), Holds: holds}})
		return err
	})
	if err != nil {
		s.unsure = true
		s.leave()
		return nil, c.failed(fmt.Sprintf("queueing up for lock %q", w.name), err)
	}
	return s, nil
}

// request asks for the lock under l, as an acquisition of its own.
func (w wish) request(l *lease) dialect.Request {
	return dialect.Request{
		Key:     w.key(),
		LeaseID: l.id, Owner: w.use.token(), Note: w.note,
		HoldAtLeast: toMicros(w.holdAtLeast), LockDelay: toMicros(w.lockDelay),
	}
}

func (s *seat) claim() dialect.Claim {
	return dialect.Claim{Key: s.request.Key, Owner: s.request.Owner}
}

// lives tells whether anything can still be handed over to it. No seat can be lost.
func (s *seat) lives() bool { return s == nil || !s.over.Load() && s.lease.left() > 0 }

// astray tells whether it is a reader's in the queue for the exclusive lock, while by now the name has readers, who wait among
// the writers: from there he would see them come and go before him.
func (s *seat) astray(w wish) bool {
	return s != nil && w.shared && s.request.Key != w.queue() && s.lease.knowsReaders(w.name)
}

// granted makes what was handed over the caller's lock. None: its lease can't be relied on any more, and it was given back.
func (s *seat) granted(caller context.Context, h dialect.Handover) *Lock {
	if !s.becomes() { // it is being given back already
		return nil
	}
	s.sweep()
	lock, late := s.lease.grant(caller, &Lock{
		claim: s.claim(), fence: h.Fence, delayed: s.request.LockDelay > 0, unsure: s.unsure,
	})
	if late != nil {
		return nil
	}
	return lock
}

// taken tells whether it has become a lock, or was left before. No seat is none to leave.
func (s *seat) taken() bool { return s == nil || s.over.Load() }

// becomes: the seat's row is gone, and its owner token is the lock's. False: it was left before.
func (s *seat) becomes() bool {
	if !s.over.CompareAndSwap(false, true) {
		return false
	}
	s.ear.forget(s)
	return true
}

// sweep takes out of the queue what a lost try may yet put there, though the seat has become a lock.
func (s *seat) sweep() {
	if s.unsure {
		s.c.spawn(func() {
			s.lease.insist(s.lease.ttl, func(ctx context.Context) error { _, err := s.dequeue(ctx); return err })
		})
	}
}

// leave gives the place up. Where it isn't there any more the lock was handed over to it, perhaps, and is given back.
func (s *seat) leave() {
	if s == nil || !s.becomes() {
		return
	}
	late := time.Duration(0)
	if s.unsure {
		late = s.lease.ttl
	}
	left := s.c.spawn(func() {
		defer close(s.out)
		defer s.lease.unuse()
		s.lease.insist(late, func(ctx context.Context) error {
			was, err := s.dequeue(ctx)
			if err == nil && !was {
				s.lease.anchor.settle(s.lease, s.claim(), 0)
			}
			return err
		})
	})
	if !left { // the Client is closed, and its leases are gone
		close(s.out)
		s.lease.unuse()
	}
}

// awaitOut waits for a seat that is being left, and not for long: a release would hand the lock over to it.
func (s *seat) awaitOut(ctx context.Context) {
	if s == nil {
		return
	}
	select {
	case <-s.out:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, leavesWithin)
	defer cancel()
	select {
	case <-s.out:
	case <-ctx.Done():
	}
}

// leavesWithin is how long a statement takes that takes a row out of the queue, and no trouble.
const leavesWithin = time.Second

// leaveNow is leave, and blocks until the row is out. Where the database doesn't answer it goes on in the background.
func (s *seat) leaveNow(ctx context.Context) {
	if s == nil {
		return
	}
	_, err := s.c.retry(s.c.operation(ctx), func(ctx context.Context) error { _, err := s.dequeue(ctx); return err })
	if err != nil || s.unsure {
		s.leave()
	} else if s.becomes() {
		s.lease.unuse()
	}
}

// dequeue takes its row out of the queue. False: it wasn't there.
func (s *seat) dequeue(ctx context.Context) (bool, error) {
	return one(s.c.dialect.Dequeue(ctx, []dialect.Claim{s.claim()}))
}
