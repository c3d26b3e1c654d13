// Package locktest takes locks of any kind by one call, for tests that run one scenario with
// several kinds.
package locktest

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/sqllock"
)

// Kind is a kind of lock other than the exclusive lock of Client.Acquire. It is passed among the
// options of the functions of this package.
type Kind struct {
	permits int
	how     how
}

type how int

const (
	permit how = iota
	reader
	writer
	session
)

// The kinds.
var (
	Shared = Kind{how: reader} // RWLock.AcquireShared
	Writer = Kind{how: writer} // RWLock.Acquire
	// Client.Session, for Take and TryTake; shared together with Shared
	Session = Kind{how: session}
)

// Permits returns the kind of a permit of a semaphore that has n.
func Permits(n int) Kind { return Kind{permits: n} }

// Acquire acquires a lock of the kind among opts.
func Acquire(ctx context.Context, c *sqllock.Client, name string, opts ...any) (*sqllock.Lock, error) {
	kind, lock, shared := split(opts)
	switch {
	case kind == nil:
		return c.Acquire(ctx, name, lock...)
	case kind.how == reader:
		return c.RWLock(name).AcquireShared(ctx, shared...)
	case kind.how == writer:
		return c.RWLock(name).Acquire(ctx, lock...)
	}
	return c.Semaphore(name, kind.permits).Acquire(ctx, lock...)
}

// TryAcquire is Acquire without waiting.
func TryAcquire(ctx context.Context, c *sqllock.Client, name string, opts ...any) (*sqllock.Lock, error) {
	kind, lock, shared := split(opts)
	switch {
	case kind == nil:
		return c.TryAcquire(ctx, name, lock...)
	case kind.how == reader:
		return c.RWLock(name).TryAcquireShared(ctx, shared...)
	case kind.how == writer:
		return c.RWLock(name).TryAcquire(ctx, lock...)
	}
	return c.Semaphore(name, kind.permits).TryAcquire(ctx, lock...)
}

// split returns the kind, or nil, and the options.
func split(opts []any) (kind *Kind, lock []sqllock.Option, shared []sqllock.SharedOption) {
	for _, opt := range opts {
		switch opt := opt.(type) {
		case Kind:
			kind = &opt
		case sqllock.SharedOption:
			shared = append(shared, opt)
			if opt, ok := opt.(sqllock.Option); ok {
				lock = append(lock, opt)
			}
		case sqllock.Option:
			lock = append(lock, opt)
		default:
			lock = append(lock, nil)
			shared = append(shared, nil)
		}
	}
	return kind, lock, shared
}

// Held has the methods that all kinds of held locks share.
type Held interface {
	Name() string                      // that the lock was taken under
	Context() context.Context          // ends when the lock is lost
	Release(ctx context.Context) error // gives the lock back
}

// Take is Acquire for any kind, including Session.
func Take(ctx context.Context, c *sqllock.Client, name string, opts ...any) (Held, error) {
	session := c.Session(name)
	switch {
	case !slices.Contains(opts, any(Session)):
		return held(Acquire(ctx, c, name, opts...))
	case slices.Contains(opts, any(Shared)):
		return held(session.AcquireShared(ctx, sessionOptions(opts)...))
	}
	return held(session.Acquire(ctx, sessionOptions(opts)...))
}

// TryTake is TryAcquire for any kind, including Session.
func TryTake(ctx context.Context, c *sqllock.Client, name string, opts ...any) (Held, error) {
	session := c.Session(name)
	switch {
	case !slices.Contains(opts, any(Session)):
		return held(TryAcquire(ctx, c, name, opts...))
	case slices.Contains(opts, any(Shared)):
		return held(session.TryAcquireShared(ctx, sessionOptions(opts)...))
	}
	return held(session.TryAcquire(ctx, sessionOptions(opts)...))
}

// held returns an untyped nil if there is an error.
func held[L Held](lock L, err error) (Held, error) {
	if err != nil {
		return nil, err
	}
	return lock, nil
}

func sessionOptions(opts []any) (session []sqllock.SessionOption) {
	for _, opt := range opts {
		if opt, ok := opt.(sqllock.SessionOption); ok {
			session = append(session, opt)
		}
	}
	return session
}
