package sqllocktest

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

var _ dialect.SessionLocker = (*Dialect)(nil)

// session is a connection with the locks that the database holds for it. The database ends it when
// nothing was received from it for longer than its idle timeout.
type session struct {
	d         *Dialect
	options   dialect.SessionOptions
	since     time.Time
	lastHeard time.Time
	held      map[string]dialect.ServerLock
}

// OpenSession implements [dialect.SessionLocker].
func (d *Dialect) OpenSession(ctx context.Context, options dialect.SessionOptions) (dialect.Session, error) {
	s := &session{d: d, options: options, held: make(map[string]dialect.ServerLock)}
	if err := d.do(ctx, OpOpenSession, func(now time.Time) {
		s.since, s.lastHeard = now, now
		d.sessions[s] = struct{}{}
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// CutSessions ends all sessions, as a restart of the database does. Their locks are free then.
func (d *Dialect) CutSessions() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.sessions)
}

// alive ends the sessions that were silent for too long, and reports whether this one still exists.
// The caller holds mu.
func (s *session) alive(now time.Time) bool {
	for other := range s.d.sessions {
		if idle := other.options.Idle; idle > 0 && now.Sub(other.lastHeard) > idle {
			delete(s.d.sessions, other)
		}
	}
	_, ok := s.d.sessions[s]
	if ok {
		s.lastHeard = now
	}
	return ok
}

// do is Dialect.do for a session that may have ended.
func (s *session) do(ctx context.Context, op Op, apply func()) error {
	ended := false
	err := s.d.do(ctx, op, func(now time.Time) {
		if ended = !s.alive(now); !ended {
			apply()
		}
	})
	if err == nil && ended {
		return &Error{Op: op, Class: dialect.ClassUnknown, Reason: "the session has ended"}
	}
	return err
}

// all carries out one operation for each element of a slice.
func all[A any](
	ctx context.Context, s *session, op Op, locks []dialect.ServerLock, one func(dialect.ServerLock) A,
) ([]A, error) {
	out := make([]A, len(locks))
	err := s.do(ctx, op, func() {
		for i, lock := range locks {
			out[i] = one(lock)
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// TryLock implements [dialect.Session].
func (s *session) TryLock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return all(ctx, s, OpTryLock, locks, func(lock dialect.ServerLock) bool {
		for other := range s.d.sessions {
			if held, ok := other.held[lock.Name]; ok && other != s && !(held.Shared && lock.Shared) {
				return false
			}
		}
		s.held[lock.Name] = lock
		return true
	})
}

// Unlock implements [dialect.Session].
func (s *session) Unlock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return all(ctx, s, OpUnlock, locks, func(lock dialect.ServerLock) bool {
		held, ok := s.held[lock.Name]
		if ok = ok && held.Shared == lock.Shared; ok {
			delete(s.held, lock.Name)
		}
		return ok
	})
}

// HeldBy implements [dialect.Session].
func (s *session) HeldBy(ctx context.Context, locks []dialect.ServerLock) ([]dialect.SessionHolder, error) {
	return all(ctx, s, OpHeldBy, locks, func(lock dialect.ServerLock) dialect.SessionHolder {
		for other := range s.d.sessions {
			if _, ok := other.held[lock.Name]; ok {
				return dialect.SessionHolder{Holder: other.options.Holder, Since: other.since}
			}
		}
		return dialect.SessionHolder{}
	})
}

// Ping implements [dialect.Session].
func (s *session) Ping(ctx context.Context) error { return s.do(ctx, OpPing, func() {}) }

// Close implements [dialect.Session].
func (s *session) Close() error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	delete(s.d.sessions, s)
	return nil
}
