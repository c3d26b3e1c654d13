package sqllock

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// heir is the head of a line of this process, to whom a goroutine that releases the lock may pass it on: in one statement
// instead of two, and if nobody in another process waits for it. A nil heir is none.
type heir struct {
	caller context.Context
	w      wish
	answer chan *Lock // with room for one: who releases waits for nobody
	left   bool       // it waits no more; guarded by Client.mu
}

func newHeir(caller context.Context, w wish) *heir {
	return &heir{caller: caller, w: w, answer: make(chan *Lock, 1)}
}

// offer makes the heir known to those who release the lock.
func (h *heir) offer(c *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ln := c.lines[h.w.place()]; ln != nil && !h.left {
		ln.heir = h
	}
}

// give hands the heir the lock. False: it has left, or has got another one already: of a semaphore, two permits may be on their
// way to it, since it offers itself anew whenever it has looked.
func (h *heir) give(c *Client, lock *Lock) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.left {
		return false
	}
	select {
	case h.answer <- lock:
		return true
	default:
		return false
	}
}

// withdraw is for when the heir leaves. What came too late is given back.
func (h *heir) withdraw(c *Client) {
	if h == nil {
		return
	}
	c.mu.Lock()
	h.left = true
	if ln := c.lines[h.w.place()]; ln != nil && ln.heir == h {
		ln.heir = nil
	}
	c.mu.Unlock()
	select {
	case lock := <-h.answer:
		lock.giveBack()
	default:
	}
}

// lock is what is passed on; to no heir, never.
func (h *heir) lock() <-chan *Lock {
	if h == nil {
		return nil
	}
	return h.answer
}

// heirOf takes the heir of a lock from its line: one release at a time passes it on.
func (c *Client) heirOf(l *Lock) *heir {
	c.mu.Lock()
	defer c.mu.Unlock()
	ln := c.lines[l.place()]
	if ln == nil || ln.heir == nil || ln.heir.w.term() != l.lease.term || !ln.heir.w.accepts(l.claim.Key) {
		return nil
	}
	h := ln.heir
	ln.heir = nil
	return h
}

// overtakes tells whether somebody waits for the lock under another lease, and in another queue than that of its row, which is
// where Pass looks: as those do who want a permit, whichever.
func (a rowAnchor) overtakes(ctx context.Context, l *Lock, queue dialect.Key) (bool, error) {
	if queue == l.claim.Key {
		return false, nil
	}
	var others bool
	_, err := a.c.retry(ctx, func(ctx context.Context) error {
		waiting, err := a.c.dialect.Queue(ctx, queue, aFew)
		others = slices.ContainsFunc(waiting, func(w dialect.Waiting) bool { return w.LeaseID != l.lease.id })
		return err
	})
	return others, err
}

// pass gives the lock to the heir, if nobody else waits for it. Not passed: the lock is as it was, and has to be released;
// unsure, it may be the heir's, and is given back.
func (a rowAnchor) pass(ctx context.Context, l *Lock, h *heir) (passed, unsure bool, err error) {
	if !l.lease.use() {
		return false, false, nil
	}
	if others, err := a.overtakes(ctx, l, h.w.queue()); others || err != nil {
		l.lease.unuse()
		return false, false, err
	}
	next := h.w.request(l.lease)
	next.Key = l.claim.Key
	claim := dialect.Claim{Key: next.Key, Owner: next.Owner}
	var grant dialect.Grant
	unsure, err = a.c.retry(ctx, func(ctx context.Context) (err error) {
		grant, err = one(a.c.dialect.Pass(ctx, []dialect.Pass{{Claim: l.claim, Next: next}}))
		return err
	})
	if unsure && err == nil && !grant.Granted { // a try whose reply was lost may have done it: then the row is the heir's
		_, err = a.c.retry(ctx, func(ctx context.Context) (err error) {
			grant, err = one(a.c.dialect.Acquire(ctx, []dialect.Request{next}))
			return err
		})
	}
	if err != nil || !grant.Granted {
		l.lease.unuse()
		if unsure {
			a.settle(l.lease, claim, l.lease.ttl)
		}
		return false, unsure, err
	}
	lock, late := l.lease.grant(h.caller, &Lock{
		claim: claim, fence: grant.Fence, permits: h.w.permits, delayed: next.LockDelay > 0, unsure: unsure,
	})
	if late == nil && !h.give(a.c, lock) { // late: it was given back
		lock.giveBack()
	}
	return true, unsure, nil
}
