package sqllock

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
)

// takeTogether asks for several locks in one statement. Nil: that one was refused, or came when its lease couldn't be relied on
// any more.
func (c *Client) takeTogether(caller context.Context, wishes []wish) ([]*Lock, error) {
	ctx := c.operation(caller)
	l, err := c.lease(ctx, wishes[0].term())
	if err != nil {
		return nil, err
	}
	defer l.unuse()
	requests := make([]dialect.Request, len(wishes))
	for i, w := range wishes {
		requests[i] = w.request(l)
	}
	t := &taking{c: c, caller: caller, lease: l, request: requests[0]}
	var grants []dialect.Grant
	late := false // an earlier try may be carried out yet: of several in one, it isn't known of which
	_, err = t.retry(ctx, func(ctx context.Context) (err error) {
		grants, err = c.acquires.doAll(ctx, requests)
		late = late || err != nil
		return err
	})
	if err != nil {
		grants = make([]dialect.Grant, len(requests)) // and all are given back
	}
	return l.grantAll(caller, requests, grants, late), err
}

// grantAll makes the caller's what was granted. late: what was refused is given back, since it may yet be granted.
func (l *lease) grantAll(caller context.Context, requests []dialect.Request, grants []dialect.Grant, late bool) []*Lock {
	locks := make([]*Lock, len(requests))
	for i, r := range requests {
		lock := &Lock{
			claim: dialect.Claim{Key: r.Key, Owner: r.Owner}, fence: grants[i].Fence, delayed: r.LockDelay > 0, unsure: late,
		}
		switch {
		case grants[i].Granted && l.use():
			if granted, err := l.grant(caller, lock); err == nil {
				locks[i] = granted
			}
		case grants[i].Granted || late:
			l.anchor.settle(l, lock.claim, l.ttl)
		}
	}
	return locks
}
