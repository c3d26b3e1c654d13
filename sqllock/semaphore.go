package sqllock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Semaphore is a fixed number of permits, each of which one caller holds at a time, across all
// processes. Its methods are safe for concurrent use.
type Semaphore struct {
	c       *Client
	name    string
	permits int
}

// Semaphore returns the semaphore of that name with that many permits, from 1 to [MaxPermits]. Its
// methods return [ErrInvalid] for any other number. Client.Semaphore does not call the database.
//
// Each permit is a lock with fences of its own ([Lock.Permit] says which one). Callers may pass
// different numbers of permits. A caller that passes n takes one of the first n permits. Permits
// that are already held are not revoked. While callers pass different numbers, the greatest number
// decides how many permits can be held at a time. If all permits are held, waiters poll, on every
// engine.
func (c *Client) Semaphore(name string, permits int) *Semaphore {
	return &Semaphore{c: c, name: name, permits: permits}
}

// Name returns the semaphore's name.
func (s *Semaphore) Name() string { return s.name }

// Acquire takes one of the permits. It waits until one is free or ctx ends. Its errors are those of
// [Client.Acquire].
func (s *Semaphore) Acquire(ctx context.Context, opts ...Option) (*Lock, error) {
	req, err := s.request(opts)
	if err != nil {
		return nil, err
	}
	return acquirer{s.c.core}.acquire(ctx, req)
}

// TryAcquire takes one of the permits if one is free or its holder is dead. Its errors are those of
// [Client.TryAcquire].
func (s *Semaphore) TryAcquire(ctx context.Context, opts ...Option) (*Lock, error) {
	req, err := s.request(opts)
	if err != nil {
		return nil, err
	}
	return acquirer{s.c.core}.try(req.addHeld(ctx), req)
}

// Do runs fn with one of the permits, as [Client.Do] does under a lock.
func (s *Semaphore) Do(ctx context.Context, fn func(ctx context.Context, permit *Lock) error, opts ...Option) error {
	return do(ctx, s.name, fn, func() (*Lock, error) { return s.Acquire(ctx, opts...) })
}

// Holders returns the holders of the permits, including those whose leases have expired and that
// the reaper has not removed yet. It blocks until the database has answered or ctx ends.
func (s *Semaphore) Holders(ctx context.Context) ([]Info, error) {
	return lister{s.c.core}.infos(ctx, s.name, request.SlotPermits, request.SlotPermits+MaxPermits)
}

func (s *Semaphore) request(opts []Option) (acquisition, error) {
	permit := request.Request{Name: s.name, Slot: request.SlotPermits, Permits: s.permits}
	return newRequest(s.c.core, permit, opts, Option.ApplyLock)
}

// takePermit takes the permit that PickPermit chose or, if that one is taken, one that it finds
// free. Each permit is a lock of its own, whose row decides.
func (a leaseBackend) takePermit(
	ctx, caller context.Context, l *lease, req acquisition, readFirst bool,
) (lock *Lock, err error) {
	if !readFirst {
		lock, err = a.takeRow(ctx, caller, l, req, false)
		if !errors.Is(err, ErrNotAcquired) || !l.addUser() {
			return lock, err
		}
	}
	req.sent = nil
	for range rounds {
		open, held, failed := a.openPermits(ctx, l, req)
		if failed != nil || len(open) == 0 {
			l.removeUser()
			return nil, errOr(failed, held)
		}
		req.Slot = open[rand.N(len(open))]
		lock, err = a.takeRow(ctx, caller, l, req, false)
		if !errors.Is(err, ErrNotAcquired) || !l.addUser() {
			return lock, err
		}
	}
	l.removeUser()
	return nil, err // others were faster
}

func errOr(err error, held *HeldError) error {
	if err != nil {
		return err
	}
	return held
}

// openPermits returns the permits that can be taken. Only if all are taken does it look for one
// whose holder is dead. If it finds none, held describes the permit that will be free first, as far
// as is known.
func (a leaseBackend) openPermits(
	ctx context.Context, l *lease, req acquisition,
) (open []int, held *HeldError, err error) {
	rows, _, err := store.Retried(ctx, a.c.store.Store, func(ctx context.Context) ([]dialect.Row, error) {
		return lister{a.c}.rowsOf(ctx, req.Name, request.SlotPermits, request.SlotPermits+req.Permits, false)
	})
	if err != nil {
		return nil, nil, a.c.store.failed(fmt.Sprintf("reading the permits of %q", req.Name), err)
	}
	taken := make([]bool, req.Permits)
	for _, row := range rows {
		taken[row.Slot-request.SlotPermits] = row.Held || row.FreeIn > 0
	}
	for permit, is := range taken {
		if !is {
			open = append(open, request.SlotPermits+permit)
		}
	}
	if len(open) > 0 {
		return open, nil, nil
	}
	return a.freeDeadPermit(ctx, l, rows)
}

// freeDeadPermit frees a permit whose holder is dead, or returns which permit will be free
// first.
func (a leaseBackend) freeDeadPermit(ctx context.Context, l *lease, rows []dialect.Row) ([]int, *HeldError, error) {
	first := rows[0]
	for i, row := range rows {
		if row.Held && row.Lease != dialect.LeaseLive {
			found, err := a.c.clearRetried(ctx, &row)
			if err != nil {
				permit := row.Slot - request.SlotPermits
				what := fmt.Sprintf("freeing permit %d of %q, whose holder is dead", permit, row.Name)
				return nil, nil, a.c.store.failed(what, err)
			}
			if found == rowFree {
				return []int{row.Slot}, nil, nil
			}
		}
		if i > 0 && max(row.Remaining, row.FreeIn) < max(first.Remaining, first.FreeIn) {
			first = row
		}
	}
	held := heldError(first, l.id)
	held.reason = fmt.Sprintf("all %d permits are held; the one that may be free first: %s", len(rows), held.reason)
	return nil, held, nil
}
