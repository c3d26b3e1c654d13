package sqllock

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// AcquireAll takes the locks of several names, all or none, and waits for them until ctx ends. Two
// callers whose names overlap cannot wait for each other in a circle, because no caller waits for a
// name while it holds a greater one in the order of strings. All names that are free are taken in
// one statement. All locks of the set are under one lease. With [Fair] they are taken one after the
// other.
//
// On an error nothing stays taken. The error is that of [Client.Acquire] for the name that could
// not be taken, or [ErrInvalid] if there are no names or a name occurs twice.
func (c *Client) AcquireAll(ctx context.Context, names []string, opts ...SetOption) (*Set, error) {
	return acquirer{c.core}.acquireSet(ctx, names, opts, true)
}

// TryAcquireAll takes the locks of several names, all or none, without waiting. The error is that
// of [Client.TryAcquire] for the first name that another holds. Otherwise it is like
// [Client.AcquireAll].
func (c *Client) TryAcquireAll(ctx context.Context, names []string, opts ...SetOption) (*Set, error) {
	return acquirer{c.core}.acquireSet(ctx, names, opts, false)
}

// acquireSet implements AcquireAll if waits is true, and TryAcquireAll otherwise.
func (a acquirer) acquireSet(ctx context.Context, names []string, opts []SetOption, waits bool) (*Set, error) {
	reqs, err := a.reqs(names, opts)
	switch {
	case err != nil:
		return nil, err
	case a.tracers != nil:
		return a.tracedSet(ctx, names, reqs, waits)
	}
	return a.acquireAll(ctx, names, reqs, waits)
}

// tracedSet is traced for AcquireAll.
func (a acquirer) tracedSet(ctx context.Context, names []string, reqs []acquisition, waits bool) (*Set, error) {
	data := AcquireStartData{LockData: reqs[0].data(), Try: !waits}
	for _, req := range reqs {
		data.Names = append(data.Names, req.Name)
	}
	traced, trace := a.tracers.begin(ctx, data)
	for i := range reqs {
		reqs[i].trace = trace
	}
	set, err := a.acquireAll(traced, names, reqs, waits)
	if err != nil {
		trace.end(0, err)
		return nil, err
	}
	trace.end(0, nil)
	for _, lock := range set.sorted {
		lock.startHold(ctx)
	}
	return set, nil
}

// acquireAll is acquireSet for requests, without tracing.
func (a acquirer) acquireAll(ctx context.Context, names []string, reqs []acquisition, waits bool) (*Set, error) {
	ctx = reqs[0].addHeld(ctx)
	for i := range reqs {
		reqs[i].Held = nil // from here on ctx says what is held, and each lock is added to it
	}
	if err := a.store.ownTxOfAcquire(ctx, reqs[0].Name); err != nil {
		return nil, err
	}
	for {
		locks, err := a.acquireOrdered(ctx, reqs, waits)
		if err != nil {
			discardNow(ctx, locks)
			return nil, err
		}
		if allHeld(locks) {
			return newSet(ctx, names, locks), nil
		}
		discardNow(ctx, locks) // their lease ended before the last one was granted: try again under the next lease
	}
}

// reqs returns a request for each name, in the order in which they are waited for.
func (a acquirer) reqs(names []string, opts []SetOption) ([]acquisition, error) {
	if len(names) == 0 {
		return nil, fail.Invalid("there are no names to acquire locks of")
	}
	var reqs []acquisition
	for i, name := range slices.Sorted(slices.Values(names)) {
		req, err := newRequest(a.core, request.Request{Name: name}, opts, SetOption.ApplySet)
		switch {
		case err != nil:
			return nil, err
		case i > 0 && reqs[i-1].Name == name:
			return nil, fail.Invalid("the name %q is there twice", name)
		}
		reqs = append(reqs, req)
	}
	return reqs, nil
}

// acquireOrdered takes the locks in the order of their names: as many in one statement as are free,
// then the next one, which another holds, by itself, and so on. On an error it also returns the
// locks that it has taken. It stops early if one of them was lost.
func (a acquirer) acquireOrdered(ctx context.Context, reqs []acquisition, waits bool) ([]*Lock, error) {
	single := a.try
	if waits {
		single = a.acquire
	}
	var locks []*Lock
	for len(locks) < len(reqs) && allHeld(locks) {
		got, err := a.acquireMany(ctx, reqs[len(locks):])
		locks = append(locks, got...)
		if waits && a.store.unanswered(err) && ctx.Err() == nil {
			err = nil // wait for the next one alone
		}
		if err != nil || len(locks) == len(reqs) {
			return locks, err
		}
		lock, err := single(&heldContext{ctx, append(heldIn(ctx), locks...)}, reqs[len(locks)])
		if err != nil {
			return locks, err
		}
		locks = append(locks, lock)
	}
	return locks, nil
}

// acquireMany tries to take all locks in one statement. It keeps those before the first refused one
// and releases the rest.
func (a acquirer) acquireMany(ctx context.Context, reqs []acquisition) ([]*Lock, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, reqs[0].Name, nil)
	}
	if len(reqs) == 1 || reqs[0].Fair { // the queue decides the order
		return nil, nil
	}
	takeAll := func() ([]*Lock, error) { return a.takeMany(ctx, reqs) }
	locks, abandoned, err := store.RunDetached(ctx, a.store.Store, takeAll, discardAll)
	if abandoned {
		err = a.store.gaveUpUnanswered(ctx, reqs[0].Name)
	}
	if err != nil {
		return nil, err
	}
	n := slices.Index(locks, nil)
	if n < 0 {
		return locks, nil
	}
	discardNow(ctx, locks[n:])
	return locks[:n], nil
}

// allHeld reports whether none of the locks was released or lost.
func allHeld(locks []*Lock) bool {
	return !slices.ContainsFunc(locks, func(l *Lock) bool { return l.check() != nil })
}

// discardNow releases locks that the caller never gets to see. It waits for that only until ctx
// ends.
func discardNow(ctx context.Context, locks []*Lock) {
	locks = slices.DeleteFunc(slices.Clone(locks), func(l *Lock) bool { return l == nil })
	if ctx.Err() != nil {
		discardAll(locks)
		return
	}
	if err := releaseAll(ctx, locks); err != nil && !errors.Is(err, ErrLost) {
		locks[0].c.log.Debug("sqllock: releasing some locks of a set that could not be acquired failed; "+
			"retrying in the background", "err", err)
	}
}

func discardAll(locks []*Lock) {
	for _, l := range locks {
		if l != nil {
			l.discardLater()
		}
	}
}

// Set is several locks that were acquired together: see [Client.AcquireAll]. Its methods are safe
// for concurrent use.
type Set struct {
	ctx    clock.Context
	cancel context.CancelCauseFunc
	asked  []*Lock
	sorted []*Lock // by name
}

// newSet makes a set of the locks, which must be sorted by name.
func newSet(caller context.Context, names []string, locks []*Lock) *Set {
	s := &Set{sorted: locks}
	for _, name := range names {
		s.asked = append(s.asked, s.Lock(name))
	}
	held := &heldContext{context.WithoutCancel(caller), append(heldIn(caller), locks...)}
	ctx, cancel := context.WithCancelCause(held)
	s.ctx, s.cancel = clock.Context{Context: ctx, Of: (*setEnder)(s)}, cancel
	for _, l := range locks {
		context.AfterFunc(l.Context(), func() { cancel(context.Cause(l.Context())) })
	}
	return s
}

// setEnder ends the set's context.
type setEnder Set

// EndIfLost checks only one lock, since all are under one lease.
func (s *setEnder) EndIfLost() {
	if ctx := s.sorted[0].Context(); ctx.Err() != nil {
		s.cancel(context.Cause(ctx))
	}
}

// Locks returns all locks of the set, in the order in which the caller gave their names.
func (s *Set) Locks() []*Lock { return slices.Clone(s.asked) }

// Lock returns the lock of that name, or nil if it isn't in the set.
func (s *Set) Lock(name string) *Lock {
	byName := func(l *Lock, name string) int { return strings.Compare(l.Name(), name) }
	i, found := slices.BinarySearchFunc(s.sorted, name, byName)
	if !found {
		return nil
	}
	return s.sorted[i]
}

// Context returns a context that ends when one of the locks can't be trusted any longer or is
// released, with the cause with which that lock's own context ends: see [Lock.Context]. It has the
// values of the ctx that the locks were acquired with, but not its deadline or cancellation.
func (s *Set) Context() context.Context { return &s.ctx }

// Guard calls [Lock.Guard] on every lock, in the order of their names, which takes one statement
// per lock. It returns the first error; roll back then.
func (s *Set) Guard(ctx context.Context, tx Tx) error {
	for _, l := range s.sorted {
		if err := l.Guard(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// Release frees all locks as [Lock.Release] does, usually in two statements for all of them. It
// returns the joined errors of the locks that were lost or had been released before.
func (s *Set) Release(ctx context.Context) error { return releaseAll(ctx, s.sorted) }

// releaseAll releases the locks concurrently, so that group commit sends them together.
func releaseAll(ctx context.Context, locks []*Lock) error {
	if len(locks) == 0 {
		return nil
	}
	errs := make([]error, len(locks))
	first := locks[0]
	refused := first.c.store.ownTx(context.WithoutCancel(ctx),
		"releasing several locks, the first of them", first.Name())
	var group sync.WaitGroup
	for i, l := range locks {
		group.Go(func() { errs[i] = l.release(ctx, func() error { return refused }) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// takeMany asks for several locks in one statement. A lock in the result is nil if its request was
// refused, or if its grant came when the lease could no longer be relied on.
func (a acquirer) takeMany(caller context.Context, reqs []acquisition) ([]*Lock, error) {
	ctx := a.store.Operation(caller)
	l, err := a.leases.get(ctx, reqs[0].leaseKey())
	if err != nil {
		return nil, err
	}
	defer l.removeUser()
	requests := make([]dialect.Request, len(reqs))
	for i, req := range reqs {
		requests[i] = req.dialectRequest(l.id)
	}
	t := &attempt{c: a.core, caller: caller, lease: l, request: requests[0]}
	var grants []dialect.Grant
	late := false // an earlier try may still be carried out; with several requests it is unknown for which of them
	_, err = t.retry(ctx, func(ctx context.Context) (err error) {
		grants, err = a.store.Acquires.DoAll(ctx, requests)
		late = late || err != nil
		return err
	})
	if err != nil {
		grants = make([]dialect.Grant, len(requests)) // all are released in the background
	}
	return l.grantAll(caller, requests, grants, late), err
}

// grantAll makes the locks that were granted the caller's. If late is true, it also releases in the
// background what was refused, since that may still be granted.
func (l *lease) grantAll(
	caller context.Context, requests []dialect.Request, grants []dialect.Grant, late bool,
) []*Lock {
	locks := make([]*Lock, len(requests))
	for i, r := range requests {
		lock := &Lock{
			claim: dialect.Claim{Key: r.Key, Owner: r.Owner}, fence: grants[i].Fence,
			delayed: r.LockDelay > 0, inDoubt: late,
		}
		switch {
		case grants[i].Granted && l.addUser():
			if granted, err := l.grant(caller, lock); err == nil {
				locks[i] = granted
			}
		case grants[i].Granted || late:
			l.backend.releaseLater(l, lock.claim, l.ttl)
		}
	}
	return locks
}
