package simulate

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// The dialect's methods, over the link.

func (l *link) Probe(ctx context.Context) (dialect.Server, error) {
	return send(ctx, l, "Probe", func(leaving) (dialect.Server, error) { return l.Dialect.Probe(background) })
}

// background is the ctx of a request that has arrived.
var background = context.Background()

// slice sends a request with several elements.
func slice[Q, A any](
	ctx context.Context, l *link, op string, qs []Q, apply func(context.Context, []Q) ([]A, error),
) ([]A, error) {
	if len(qs) == 0 {
		return nil, nil
	}
	return send(ctx, l, op, func(leaving) ([]A, error) {
		l.w.trace(l, op, "of %+v", qs)
		return apply(background, qs)
	})
}

func (l *link) CreateLease(ctx context.Context, lease dialect.Lease) error {
	_, err := send(ctx, l, "CreateLease", func(leaving) (struct{}, error) {
		return struct{}{}, l.Dialect.CreateLease(background, lease)
	})
	return err
}

func (l *link) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return slice(ctx, l, "RenewLeases", ids, l.Dialect.RenewLeases)
}

func (l *link) ExpireLeases(ctx context.Context, ids []string) ([]dialect.Expiry, error) {
	return slice(ctx, l, "ExpireLeases", ids, l.Dialect.ExpireLeases)
}

func (l *link) ExpireUnrenewed(ctx context.Context, renewals []dialect.Renewal) ([]dialect.Expiry, error) {
	return slice(ctx, l, "ExpireUnrenewed", renewals, l.Dialect.ExpireUnrenewed)
}

func (l *link) OverlongLeases(ctx context.Context, limit int) ([]dialect.Renewal, error) {
	return send(ctx, l, "OverlongLeases", func(leaving) ([]dialect.Renewal, error) {
		return l.Dialect.OverlongLeases(background, limit)
	})
}

func (l *link) DeleteExpired(ctx context.Context, ago time.Duration, limit int) (int, error) {
	return send(ctx, l, "DeleteExpired", func(leaving) (int, error) {
		return l.Dialect.DeleteExpired(background, ago, limit)
	})
}

func (l *link) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := slice(ctx, l, "DeleteLeases", ids, func(ctx context.Context, ids []string) ([]struct{}, error) {
		return nil, l.Dialect.DeleteLeases(ctx, ids)
	})
	return err
}

func (l *link) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	return slice(ctx, l, "Acquire", requests, l.Dialect.Acquire)
}

func (l *link) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return slice(ctx, l, "Get", keys, l.Dialect.Get)
}

func (l *link) EndBars(ctx context.Context, bars []dialect.Bar) ([]bool, error) {
	return slice(ctx, l, "EndBars", bars, l.Dialect.EndBars)
}

func (l *link) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	return send(ctx, l, "List", func(leaving) ([]dialect.Row, error) {
		return l.Dialect.List(background, after, heldOnly, limit)
	})
}

func (l *link) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	return send(ctx, l, "Purge", func(leaving) (int, error) { return l.Dialect.Purge(background, idle, limit) })
}

func (l *link) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	return slice(ctx, l, "Enqueue", waiters, l.Dialect.Enqueue)
}

func (l *link) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return slice(ctx, l, "Dequeue", claims, l.unlessFormer(l.Dialect.Dequeue))
}

func (l *link) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return send(ctx, l, "Queue", func(leaving) ([]dialect.Waiting, error) {
		return l.Dialect.Queue(background, key, limit)
	})
}

func (l *link) WaitingHolders(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	return send(ctx, l, "WaitingHolders", func(leaving) ([]dialect.Waiting, error) {
		return l.Dialect.WaitingHolders(background, after, limit)
	})
}

func (l *link) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	return send(ctx, l, "PurgeWaiters", func(leaving) (int, error) {
		return l.Dialect.PurgeWaiters(background, limit)
	})
}

func (l *link) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return slice(ctx, l, "Recall", names, l.Dialect.Recall)
}

func (l *link) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	return slice(ctx, l, "Remember", done, l.Dialect.Remember)
}

func (l *link) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	return send(ctx, l, "PurgeOutcomes", func(leaving) (int, error) {
		return l.Dialect.PurgeOutcomes(background, limit)
	})
}

// The operations that a guard concerns.

func (l *link) Guard(ctx context.Context, in dialect.Tx, claims []dialect.Claim) ([]bool, error) {
	t, ok := in.(*tx)
	if !ok {
		return nil, dialect.ErrInvalid
	}
	return transmit(ctx, l, "Guard", l.fate("Guard", true), func(leaving) ([]bool, error) { return t.guard(claims) })
}

func (l *link) Free(ctx context.Context, dead []dialect.DeadHolder) ([]bool, error) {
	return slice(ctx, l, "Free", dead, func(_ context.Context, dead []dialect.DeadHolder) ([]bool, error) {
		return unguarded(l.w, dead, func(h dialect.DeadHolder) dialect.Key { return h.Key }, l.Dialect.Free)
	})
}

func (l *link) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	return send(ctx, l, "Release", func(caller leaving) ([]bool, error) {
		l.w.trace(l, "Release", "of %+v", claims)
		key := func(c dialect.Claim) dialect.Key { return c.Key }
		if len(claims) == 1 {
			return afterGuard(l.w, caller, claims, key, l.unlessFormer(l.Dialect.Release))
		}
		return unguarded(l.w, claims, key, l.unlessFormer(l.Dialect.Release))
	})
}

// unlessFormer returns remove, except that it finds nothing while the process's connections are to
// a former primary.
func (l *link) unlessFormer(
	remove func(context.Context, []dialect.Claim) ([]bool, error),
) func(context.Context, []dialect.Claim) ([]bool, error) {
	return func(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
		if !l.has(former).IsZero() {
			return make([]bool, len(claims)), nil
		}
		return remove(ctx, claims)
	}
}

func (l *link) Transfer(ctx context.Context, transfers []dialect.Transfer) ([]dialect.Grant, error) {
	return send(ctx, l, "Transfer", func(caller leaving) ([]dialect.Grant, error) {
		return afterGuard(l.w, caller, transfers, func(t dialect.Transfer) dialect.Key { return t.Claim.Key },
			l.Dialect.Transfer)
	})
}
