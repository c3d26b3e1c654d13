package sqllock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// MaxReasonBytes is the maximum length of a reason ([WithReason]).
const MaxReasonBytes = dialect.MaxReason

// BreakOption is an option of [Client.Break].
type BreakOption func(*dialect.Break)

// WithReason records why the lock is broken: up to [MaxReasonBytes] of UTF-8 in one line.
func WithReason(reason string) BreakOption {
	return func(b *dialect.Break) { b.Reason = reason }
}

// BrokenBy records which person breaks the lock, such as ann@example.org. It has up to
// [MaxNameBytes].
func BrokenBy(user string) BreakOption {
	return func(b *dialect.Break) { b.By = user }
}

// Break takes a lease lock away from its holder, alive or dead. It is for a person who has looked
// at the holder ([Client.Inspect], [Client.Locks]) and knows that it must not go on. fence is the
// fencing token that was seen, so that Break ends that acquisition and no other. If that
// acquisition is over, the error is [ErrNotHeld] and nothing was changed. Break returns how it
// found the lock, for the record, and logs that. It waits until ctx ends for a transaction that the
// holder guards.
//
// The database keeps a record of the break, which [Client.Breaks] returns. It is written in the
// transaction that takes the lock away. It has the Client's [Options].Holder, and what the options
// say.
//
// The lock is free at once, unless [HoldAtLeast] still applies; [LockDelay] doesn't apply. The
// holder is not notified: [Lock.Guard] and [Lock.Release] return [ErrLost] from now on, but
// [Lock.Context] does not end by itself, since the holder's lease and its other locks live on.
func (c *Client) Break(
	ctx context.Context, name string, fence int64, opts ...BreakOption,
) (seen Info, err error) {
	if c.tracers != nil {
		traced, trace := c.tracers.breakLock(ctx, BreakStartData{Name: name, Fence: fence})
		ctx = traced
		defer func() { trace.end(seen, err) }()
	}
	if err := c.store.ownTx(ctx, "breaking lock", name); err != nil {
		return Info{}, err
	}
	if err := c.checkInspect(name); err != nil {
		return Info{}, err
	}
	b, err := newBreak(name, c.opts.Holder, opts)
	if err != nil {
		return Info{}, err
	}
	rows, err := lister{c.core}.rows(ctx, name, request.SlotExclusive, math.MaxInt32)
	if err != nil {
		return Info{}, err
	}
	rows = slices.DeleteFunc(rows, func(row dialect.Row) bool { return row.Fence != fence })
	over := fmt.Errorf("sqllock: %w: %q is no longer held with fence %d; inspect it again", ErrNotHeld, name, fence)
	switch len(rows) {
	case 0:
		i, err := c.Inspect(ctx, name)
		return i, errors.Join(over, err)
	case 1:
	default: // for instance two readers that were granted in the same microsecond
		return info(rows[0]), fail.Invalid("Break of lock %q: %d holders have fence %d; which one is meant is unknown",
			name, len(rows), fence)
	}
	found := info(rows[0])
	switch broken, err := c.breakRow(ctx, b, rows[0]); {
	case err != nil:
		return found, c.store.failed(fmt.Sprintf("breaking lock %q", name), err)
	case !broken:
		return found, over
	}
	return found, nil
}

// newBreak returns what is recorded of a break, apart from what is known of the lock.
func newBreak(name, from string, opts []BreakOption) (dialect.Break, error) {
	b := dialect.Break{ID: rand.Text(), From: from}
	for i, opt := range opts {
		if opt == nil {
			return b, fail.Invalid("option %d of the break of lock %q is nil", i+1, name)
		}
		opt(&b)
	}
	if b.By != "" {
		if err := request.CheckText("name of the user", b.By, MaxNameBytes); err != nil {
			return b, err
		}
	}
	if b.Reason == "" {
		return b, nil
	}
	return b, request.CheckText("reason", b.Reason, MaxReasonBytes)
}

// breakRow ends the acquisition that a row names, and reports whether it did. The owner token is
// unique to that acquisition, so a break that names it ends that acquisition or nothing.
func (c *core) breakRow(ctx context.Context, b dialect.Break, row dialect.Row) (bool, error) {
	b.Claim = dialect.Claim{Key: row.Key, Owner: row.Owner}
	b.Kind, b.Fence, b.Holder = string(kindOfSlot(row.Slot)), row.Fence, row.Holder
	b.Note, b.Since = row.Note, row.AcquiredAt
	broken, err := c.store.BreakLock(ctx, b)
	if err != nil || !broken {
		return false, err
	}
	record := []any{
		"lock", row.Name, "holder", row.Holder, "note", row.Note, "fence", row.Fence, "since", row.AcquiredAt,
		"by", b.From,
	}
	if b.By != "" {
		record = append(record, "user", b.By)
	}
	if b.Reason != "" {
		record = append(record, "reason", b.Reason)
	}
	c.counts.breaks.Add(1)
	c.log.Warn("sqllock: a lock was broken", record...)
	c.queues.freed(leaseKey{}.queueKey(row.Key))
	return true, nil
}

// Break is the record of a lock that was taken away from its holder ([Client.Break]).
type Break struct {
	Name   string    // the lock's name
	Kind   Kind      // the kind of lock
	Permit int       // which permit of a semaphore, from 0; 0 for all other locks
	Shared bool      // its holder was a reader of an RWLock
	Holder string    // whose lease it was (Options.Holder); empty if unknown
	Note   string    // the note of the holder (WithNote)
	Fence  int64     // the fencing token of the acquisition that was ended
	Since  time.Time // when the holder had acquired it, by the database's clock

	At     time.Time // when it was broken, by the database's clock
	By     string    // the person who broke it (BrokenBy); empty if unknown
	From   string    // the Client that broke it (Options.Holder): by default program@host[pid]
	Reason string    // why (WithReason)
}

// How many breaks Breaks returns, and how long the reaper keeps them.
const (
	maxBreaks  = 100
	keepBreaks = 90 * 24 * time.Hour
)

// Breaks returns the records of the locks of that name, of any kind, that were broken
// ([Client.Break]): up to a hundred, the last one first. The reaper removes a record after 90 days.
// Breaks blocks until the database has answered or ctx ends.
func (c *Client) Breaks(ctx context.Context, name string) ([]Break, error) {
	if err := c.checkInspect(name); err != nil {
		return nil, err
	}
	broken, err := c.store.BreaksOf(ctx, name, maxBreaks)
	if err != nil {
		return nil, c.store.failed(fmt.Sprintf("reading how lock %q was broken before", name), err)
	}
	breaks := make([]Break, len(broken))
	for i, b := range broken {
		lock := info(dialect.Row{Key: b.Key})
		breaks[i] = Break{
			Name: b.Name, Kind: lock.Kind, Permit: lock.Permit, Shared: lock.Shared, Holder: b.Holder, Note: b.Note,
			Fence: b.Fence, Since: b.Since, At: b.At, By: b.By, From: b.From, Reason: b.Reason,
		}
	}
	return breaks, nil
}
