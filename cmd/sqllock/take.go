package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
)

// holding is what run or elect holds, of whatever kind.
type holding struct {
	names  []string
	fences []int64         // one for each name; empty for a session lock
	claims []dialect.Claim // the rows of the locks; empty if they are unknown
	ttl    time.Duration

	ctx       context.Context // the lock's own
	remaining func() time.Duration
	release   func(ctx context.Context) error
}

// take acquires the lock that the flags describe.
func (a *app) take(ctx context.Context, db *connection, f *runFlags, names []string) (*holding, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	try := f.try || f.limited && f.wait == 0
	if f.limited && !try {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, time.Duration(f.wait))
		defer end()
	}
	wait := sqllock.OnWait(func(held *sqllock.HeldError) {
		a.waitsFor(held)
		if err := ancestor(held); err != nil {
			cancel(err)
			return
		}
		a.reporter().waiting(held)
	})
	h, err := f.acquire(ctx, db.locks, names, try, wait)
	if err != nil {
		if cause := new(ancestorError); errors.As(context.Cause(ctx), &cause) {
			return nil, cause
		}
		if held := new(sqllock.HeldError); errors.As(err, &held) {
			if own := ancestor(held); own != nil {
				return nil, own
			}
		}
		return nil, err
	}
	h.names, h.ttl = names, orDefault(f.ttl)
	h.claims = claimsOf(ctx, db, h)
	return h, nil
}

func orDefault(ttl cli.Duration) time.Duration {
	if ttl == 0 {
		return sqllock.DefaultTTL
	}
	return time.Duration(ttl)
}

// acquire acquires the lock of the flags' kind.
func (f *runFlags) acquire(
	ctx context.Context, locks *sqllock.Client, names []string, try bool, wait sqllock.WaitOption,
) (*holding, error) {
	shared, set, single := f.options(wait)
	switch name := names[0]; {
	case f.session:
		return sessionHolding(pick(try, locks.Session(name).TryAcquire, locks.Session(name).Acquire)(ctx, wait))
	case f.all:
		return setHolding(pick(try, locks.TryAcquireAll, locks.AcquireAll)(ctx, names, set...))
	case f.shared:
		rw := locks.RWLock(name)
		return lockHolding(pick(try, rw.TryAcquireShared, rw.AcquireShared)(ctx, shared...))
	case f.writer:
		rw := locks.RWLock(name)
		return lockHolding(pick(try, rw.TryAcquire, rw.Acquire)(ctx, single...))
	case f.permits > 0:
		permits := locks.Semaphore(name, f.permits)
		return lockHolding(pick(try, permits.TryAcquire, permits.Acquire)(ctx, single...))
	default:
		return lockHolding(pick(try, locks.TryAcquire, locks.Acquire)(ctx, name, single...))
	}
}

// options returns the options for each kind of lock.
func (f *runFlags) options(wait sqllock.WaitOption) (
	shared []sqllock.SharedOption, set []sqllock.SetOption, single []sqllock.Option,
) {
	shared, set, single = append(shared, wait), append(set, wait), append(single, wait)
	if f.fair {
		fair := sqllock.Fair()
		shared, set, single = append(shared, fair), append(set, fair), append(single, fair)
	}
	if f.note != "" {
		note := sqllock.WithNote(f.note)
		shared, set, single = append(shared, note), append(set, note), append(single, note)
	}
	if f.lockDelay > 0 {
		delay := sqllock.LockDelay(time.Duration(f.lockDelay))
		set, single = append(set, delay), append(single, delay)
	}
	if f.holdAtLeast > 0 {
		single = append(single, sqllock.HoldAtLeast(time.Duration(f.holdAtLeast)))
	}
	return shared, set, single
}

func pick[F any](first bool, a, b F) F {
	if first {
		return a
	}
	return b
}

func lockHolding(lock *sqllock.Lock, err error) (*holding, error) {
	if err != nil {
		return nil, err
	}
	return &holding{
		fences: []int64{lock.Fence()}, ctx: lock.Context(), remaining: lock.Remaining, release: lock.Release,
	}, nil
}

func setHolding(set *sqllock.Set, err error) (*holding, error) {
	if err != nil {
		return nil, err
	}
	h := &holding{ctx: set.Context(), release: set.Release}
	for _, lock := range set.Locks() {
		h.fences = append(h.fences, lock.Fence())
	}
	h.remaining = func() time.Duration {
		left := sqllock.MaxTTL
		for _, lock := range set.Locks() {
			left = min(left, lock.Remaining())
		}
		return left
	}
	return h, nil
}

// sessionHolding has nothing remaining once the lock is lost: the server frees it as soon as the
// connection has ended.
func sessionHolding(lock *sqllock.SessionLock, err error) (*holding, error) {
	if err != nil {
		return nil, err
	}
	none := func() time.Duration { return 0 }
	return &holding{ctx: lock.Context(), remaining: none, release: lock.Release}, nil
}

// ancestorError means that the lock is held by a process in which this one runs.
type ancestorError struct{ name string }

func (e *ancestorError) Error() string {
	return fmt.Sprintf("lock %q not acquired: this command runs under that lock itself (SQLLOCK_NAME, SQLLOCK_FENCE), "+
		"so it would wait for its own end: remove one of the two, or use another name", e.name)
}

func (e *ancestorError) Is(target error) bool { return target == sqllock.ErrNotAcquired }

// ancestor returns an error if the holder is a sqllock run in which this process runs.
func ancestor(held *sqllock.HeldError) error {
	names, fences := strings.Split(env(envName), "\n"), strings.Split(env(envFence), "\n")
	for i, name := range names {
		if i < len(fences) && name == held.Name && held.Fence != 0 && fences[i] == strconv.FormatInt(held.Fence, 10) {
			return &ancestorError{name}
		}
	}
	return nil
}

// claimsOf returns the rows of the locks, or nothing if it can't find one of them, or if
// two readers have got the same fence.
func claimsOf(ctx context.Context, db *connection, h *holding) (claims []dialect.Claim) {
	for i, fence := range h.fences {
		rows, err := rowsOf(ctx, db, h.names[i])
		if err != nil {
			return nil
		}
		rows = slices.DeleteFunc(rows, func(row dialect.Row) bool { return row.Fence != fence })
		if len(rows) != 1 {
			return nil
		}
		claims = append(claims, dialect.Claim{Key: rows[0].Key, Owner: rows[0].Owner})
	}
	return claims
}

// rowsOf reads the rows of a name, of all kinds of locks.
func rowsOf(ctx context.Context, db *connection, name string) (rows []dialect.Row, err error) {
	const page = 1000
	for after := (dialect.Key{Name: name, Slot: -1}); ; {
		some, err := db.Dialect.List(ctx, after, true, page)
		if err != nil {
			return rows, err
		}
		for _, row := range some {
			if row.Name != name {
				return rows, nil
			}
			rows = append(rows, row)
			after = row.Key
		}
		if len(some) < page {
			return rows, nil
		}
	}
}
