// Package expiry judges when a lease or a bar is over, whatever becomes of the database's clock.
//
// The database's clock decides when a lease or a bar is over. If that clock is set back, a dead
// holder's lease or a bar would last longer than was asked. But both have a length. A process that
// has seen the same renewal of a lease, or the same bar, for that long on its own monotonic clock
// knows that it is over, whatever the database's clock says: a live holder's lease would have been
// renewed meanwhile. The database still decides by one conditional statement, which ends the lease
// only if that renewal is its last one.
package expiry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Watcher remembers since when this process has seen leases without a renewal, and bars in place.
// It is safe for concurrent use.
type Watcher struct {
	store *store.Store
	log   *slog.Logger
	lasts func(dialect.Row) bool // reports whether a row's bar never ends

	mu   sync.Mutex
	seen map[watched]*firstSeen
	full int // the size at which entries that nobody has read for long are removed
}

// few is the number of entries that are kept in any case.
const few = 64

// NewWatcher returns a Watcher that has seen nothing. The bars of rows for which lasts returns true
// are left alone.
func NewWatcher(s *store.Store, log *slog.Logger, lasts func(dialect.Row) bool) *Watcher {
	return &Watcher{store: s, log: log, lasts: lasts, seen: make(map[watched]*firstSeen), full: few}
}

// watched is the id of a lease, or the key of a lock that is barred.
type watched struct {
	lease string
	lock  dialect.Key
}

// firstSeen describes a renewal of a lease, marked by its time, or a bar, marked by the lock's
// fence.
type firstSeen struct {
	mark        int64
	first, last clock.Instant
	length      time.Duration
}

// keepSeen is for how long an entry that nobody reads is kept beyond its length.
const keepSeen = time.Minute

// remaining returns for how long a lease or bar that was just read may still last: its length,
// counted from when it was first seen. It adds a thousandth for clocks that run at different
// speeds. Zero means that it is over.
func (w *Watcher) remaining(key watched, mark int64, length time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := clock.Now()
	s := w.seen[key]
	if s == nil || s.mark != mark {
		w.makeRoom(at)
		s = &firstSeen{mark: mark, first: at}
		w.seen[key] = s
	}
	s.last, s.length = at, length
	return max(length+length/1000-at.Since(s.first), 0)
}

// makeRoom removes entries that nobody has read for long.
func (w *Watcher) makeRoom(at clock.Instant) {
	if len(w.seen) < w.full {
		return
	}
	for key, s := range w.seen {
		if at.Since(s.last) > s.length+keepSeen {
			delete(w.seen, key)
		}
	}
	w.full = max(2*len(w.seen), few)
}

// Correct corrects what a row says about the time that is left: it is never more than what
// this process knows to be left. A lease that has been seen without a renewal for its TTL has
// expired, whatever the database's clock says.
func (w *Watcher) Correct(row *dialect.Row) {
	switch {
	case row.Held && row.Lease == dialect.LeaseLive && row.TTL > 0:
		row.Remaining = min(row.Remaining, w.leaseRemaining(lastRenewal(*row)))
		if row.Remaining <= 0 {
			row.Lease = dialect.LeaseExpired
		}
	case !row.Held && row.FreeIn > 0 && !w.lasts(*row):
		row.FreeIn = min(row.FreeIn, w.remaining(watched{lock: row.Key}, row.Fence, row.Bar))
	}
}

func lastRenewal(row dialect.Row) dialect.Renewal {
	return dialect.Renewal{LeaseID: row.LeaseID, RenewedAt: row.RenewedAt, TTL: row.TTL}
}

func (w *Watcher) leaseRemaining(r dialect.Renewal) time.Duration {
	return w.remaining(watched{lease: r.LeaseID}, r.RenewedAt.UnixMicro(), r.TTL)
}

// EndBar ends a bar that this process knows to be over although the database's clock says
// otherwise.
func (w *Watcher) EndBar(ctx context.Context, row dialect.Row) (ended bool, err error) {
	ended, err = store.One(w.store.EndBars(ctx, []dialect.Bar{{Key: row.Key, Fence: row.Fence}}))
	if ended {
		w.log.Warn("sqllock: the database's clock was set back; ended a bar that had lasted for as long as was asked",
			"lock", row.Name, "bar", row.Bar)
	}
	return ended, err
}

// Expire ends a lease that has expired by the database's clock, or that this process knows to have
// expired although that clock says otherwise.
func (w *Watcher) Expire(ctx context.Context, row dialect.Row) (dialect.Expiry, error) {
	if row.Lease == dialect.LeaseGone || w.leaseRemaining(lastRenewal(row)) > 0 {
		return store.One(w.store.ExpireLeases(ctx, []string{row.LeaseID}))
	}
	return store.One(w.store.ExpireUnrenewed(ctx, []dialect.Renewal{lastRenewal(row)}))
}

// ExpireOverlong ends leases that last too long because the clock was set back, once they have been
// watched for their TTL. These are leases of holders and of dead waiters, and nothing else reads
// them. It ends limit leases at most.
func (w *Watcher) ExpireOverlong(ctx context.Context, limit int) error {
	renewals, err := w.store.OverlongLeases(ctx, limit)
	if err != nil {
		return err
	}
	var over []dialect.Renewal
	for _, r := range renewals {
		if w.leaseRemaining(r) <= 0 {
			over = append(over, r)
		}
	}
	_, err = w.store.ExpireUnrenewed(ctx, over)
	return err
}
