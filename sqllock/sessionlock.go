package sqllock

import (
	"context"

	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// SessionLocker is a lock that the server itself holds for a connection: an advisory lock on
// PostgreSQL, GET_LOCK on MySQL and MariaDB, sp_getapplock on SQL Server. Its methods are safe for
// concurrent use.
//
// A session lock needs no table, and the server releases it as soon as the connection ends, for
// instance because the process dies. Session locks have no fencing token and no Guard. They do not
// work through a transaction pooler. They do not move to another server in a failover, nor from one
// Galera node to the others. Where they can't be trusted, or don't exist (SQLite), they are refused
// with [ErrUnsupported].
//
// All session locks of a [Client] share one connection of its own, outside the application's pool.
// [Options].KeepAlive bounds how long the end of that connection may go unnoticed. Session locks
// have no rows, so [Client.Locks] does not list them.
type SessionLocker struct {
	c    *Client
	name string
}

// Session returns the session lock of that name. It does not call the database.
func (c *Client) Session(name string) *SessionLocker { return &SessionLocker{c: c, name: name} }

// Name returns the lock's name.
func (s *SessionLocker) Name() string { return s.name }

// Acquire takes the lock and waits for it until ctx ends. Waiters poll. Its errors are those of
// [Client.Acquire].
func (s *SessionLocker) Acquire(ctx context.Context, opts ...SessionOption) (*SessionLock, error) {
	return s.acquire(ctx, false, opts)
}

// AcquireShared takes the lock shared, and waits for it until ctx ends. Several holders can have
// the lock at a time if all of them took it shared. On MySQL and MariaDB it returns
// [ErrUnsupported]. Its other errors are those of [Client.Acquire].
func (s *SessionLocker) AcquireShared(ctx context.Context, opts ...SessionOption) (*SessionLock, error) {
	return s.acquire(ctx, true, opts)
}

// TryAcquire takes the lock if it is free. Its errors are those of [Client.TryAcquire].
func (s *SessionLocker) TryAcquire(ctx context.Context, opts ...SessionOption) (*SessionLock, error) {
	return s.try(ctx, false, opts)
}

// TryAcquireShared takes the lock shared if nobody holds it exclusively. On MySQL and MariaDB it
// returns [ErrUnsupported]. Its other errors are those of [Client.TryAcquire].
func (s *SessionLocker) TryAcquireShared(ctx context.Context, opts ...SessionOption) (*SessionLock, error) {
	return s.try(ctx, true, opts)
}

// Do runs fn under the lock, as [Client.Do] does.
func (s *SessionLocker) Do(
	ctx context.Context, fn func(ctx context.Context, lock *SessionLock) error, opts ...SessionOption,
) error {
	if fn == nil {
		return fail.Invalid("the function to do under session lock %q is nil", s.name)
	}
	return do(ctx, s.name, func(ctx context.Context, lock *Lock) error { return fn(ctx, &SessionLock{lock}) },
		func() (*Lock, error) {
			req, err := s.request(false, opts)
			if err != nil {
				return nil, err
			}
			return acquirer{s.c.core}.acquire(ctx, req)
		})
}

func (s *SessionLocker) acquire(ctx context.Context, shared bool, opts []SessionOption) (*SessionLock, error) {
	req, err := s.request(shared, opts)
	if err != nil {
		return nil, err
	}
	return sessionLock(acquirer{s.c.core}.acquire(ctx, req))
}

func (s *SessionLocker) try(ctx context.Context, shared bool, opts []SessionOption) (*SessionLock, error) {
	req, err := s.request(shared, opts)
	if err != nil {
		return nil, err
	}
	return sessionLock(acquirer{s.c.core}.try(ctx, req))
}

func (s *SessionLocker) request(shared bool, opts []SessionOption) (acquisition, error) {
	req := acquisition{Request: request.Request{Name: s.name, Session: true, Shared: shared, TTL: s.c.opts.KeepAlive}}
	if err := request.Apply(&req.Request, opts, SessionOption.ApplySession); err != nil {
		return req, err
	}
	return req, CheckName(s.name)
}

func sessionLock(lock *Lock, err error) (*SessionLock, error) {
	if err != nil {
		return nil, err
	}
	return &SessionLock{lock}, nil
}

// SessionLock is an acquired session lock, held until it is released or lost. Its methods are safe
// for concurrent use.
type SessionLock struct{ lock *Lock }

// Name returns the lock's name.
func (l *SessionLock) Name() string { return l.lock.Name() }

// Context returns a context that ends in these cases:
//
//   - With cause [ErrLost] when the lock can't be trusted any longer, because its connection has
//     ended or did not answer for [Options].KeepAlive.
//   - With cause [ErrNotHeld] when the lock is released.
//   - With cause [ErrClosed] when the [Client] is closed.
func (l *SessionLock) Context() context.Context { return l.lock.Context() }

// Release frees the lock. See [Lock.Release].
func (l *SessionLock) Release(ctx context.Context) error { return l.lock.Release(ctx) }
