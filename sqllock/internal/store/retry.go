package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// The shortest and the longest pause between tries of a call.
const (
	FirstBackoff = 5 * time.Millisecond
	MaxBackoff   = 250 * time.Millisecond
)

// reconnectEvery is the least time between two looks for connections to a server that takes no
// writes.
const reconnectEvery = time.Second

// Retry calls op until it succeeds, fails permanently, or ctx ends. It also repeats op if the
// outcome of a try is unknown, so repeating op must be harmless. inDoubt reports whether the
// outcome of a try was unknown, so that the try may be carried out late.
func (s *Store) Retry(ctx context.Context, op func(context.Context) error) (inDoubt bool, err error) {
	for backoff := FirstBackoff; ; backoff = min(2*backoff, MaxBackoff) {
		if err = op(ctx); err == nil {
			return inDoubt, nil
		}
		switch s.Classify(err) {
		case dialect.ClassTransient:
			s.Reconnect(err)
		case dialect.ClassUnknown:
			inDoubt = true
		default:
			return inDoubt, err
		}
		if !Sleep(ctx, Jitter(backoff)) {
			return inDoubt, err
		}
	}
}

// Sleep waits for d. It returns false if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Jitter returns d, give or take a quarter, so that callers that failed together don't try again
// together.
func Jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// Proven tells the Store that the database has carried out writes. A server that takes none is an
// error until then, and a failover under way from then on.
func (s *Store) Proven() { s.proven.Store(true) }

// Classify is the dialect's Classify, except that a server which takes no writes is
// [dialect.ClassTransient] after [Store.Proven]: a primary that was demoted, or a replica that is
// about to be promoted.
func (s *Store) Classify(err error) dialect.Class {
	class := s.Dialect.Classify(err)
	if class == dialect.ClassReadOnly && s.proven.Load() {
		return dialect.ClassTransient
	}
	return class
}

// Reconnect closes idle connections in the background if err says that the server takes no writes.
// The pool would otherwise lend out those to a demoted primary for as long as it is up, and never
// reach the new one.
func (s *Store) Reconnect(err error) {
	r, ok := s.Dialect.(dialect.Reconnecter)
	if !ok || s.Dialect.Classify(err) != dialect.ClassReadOnly || !s.reconnecting.CompareAndSwap(false, true) {
		return
	}
	started := s.Spawn(func() {
		defer s.reconnecting.Store(false)
		ctx, cancel := s.Within(OperationTimeout)
		defer cancel()
		_ = r.Reconnect(ctx) // the next failed call tries again
		Sleep(s.open, reconnectEvery)
	})
	if !started {
		s.reconnecting.Store(false)
	}
}
