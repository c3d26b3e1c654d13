// Package recipe is what the packages election, once and quorum use of a Client beyond its exported
// methods. Package sqllock provides it. No other module can import it.
package recipe

import (
	"context"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Client is the inside of a *sqllock.Client. L is *sqllock.Lock.
type Client[L any] interface {
	Store() *store.Store
	Log() *slog.Logger
	Holder() string
	TTL() time.Duration

	// Tracers returns what Options.Tracer consists of.
	Tracers() []any

	// Check returns an error if the request breaks a rule, or if the Client has no tables.
	Check(req *request.Request) error

	// Acquire waits for a lock until ctx ends, as Client.Acquire does.
	Acquire(ctx context.Context, req request.Request) (L, error)

	// Try takes a lock if it is free, as Client.TryAcquire does.
	Try(ctx context.Context, req request.Request) (L, error)

	// Attempt tries once to take the lock. If readFirst is true, it writes only if a read says that
	// the lock is free. It returns as soon as ctx ends.
	Attempt(ctx context.Context, req request.Request, readFirst bool) (L, error)

	// OwnTx returns an error if a call would wait for an open transaction of the calling goroutine.
	OwnTx(ctx context.Context, doing, name string) error

	// Failed returns the error for a call that the database refused or couldn't carry out.
	Failed(what string, err error) error

	// GaveUp returns the error for a caller whose ctx ended before it got the lock.
	GaveUp(ctx context.Context, name string) error

	// Passing reports whether a call that failed with err may succeed a while later.
	Passing(err error) bool

	// LockErr returns an error if the lock was released or lost.
	LockErr(lock L) error

	// Scope returns a context for work under the lock. It ends with ctx, and with the lock and the
	// lock's cause. It says that the lock is held. The caller must call end.
	Scope(ctx context.Context, lock L) (scoped context.Context, end context.CancelCauseFunc)

	// While runs f with a ctx that also ends with the lock, and then releases the lock, even if f
	// panics.
	While(ctx context.Context, lock L, f func(ctx context.Context) error) error

	// Discard releases the lock in the background.
	Discard(lock L)

	// Claim returns the lock's row and owner token.
	Claim(lock L) dialect.Claim

	// Lease returns the id and the TTL of the lock's lease.
	Lease(lock L) (id string, ttl time.Duration)
}

var inside any // a func(C) Client[L]

// Provide is called by package sqllock. It returns nothing that matters, so that a variable can be
// initialized with it.
func Provide[C, L any](f func(C) Client[L]) struct{} {
	inside = f
	return struct{}{}
}

// Of returns the inside of a *sqllock.Client.
func Of[L, C any](c C) Client[L] {
	of, ok := inside.(func(C) Client[L])
	if !ok {
		panic("recipe: package sqllock provides no such Client")
	}
	return of(c)
}
