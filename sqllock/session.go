package sqllock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
)

// sessionBackend is a connection for which the server holds locks. No statement on it ever waits
// for a lock, so one connection serves them all, and a waiter does not delay the release of another
// lock.
type sessionBackend struct {
	c      *core
	conn   dialect.Session
	busy   chan struct{}           // one statement at a time
	held   map[string]*count       // by name; used only while busy is taken
	cached map[string]cachedHolder // the holders of locks that are waited for; likewise
}

// cachedHolder is the holder of a lock as it was last seen.
type cachedHolder struct {
	at   clock.Instant
	held *HeldError
}

// A waiter reads the holder of a lock at most once per cachedHolderTTL. It tries much more often
// whether the lock is free.
const (
	cachedHolderTTL  = time.Second
	maxCachedHolders = 1000
)

// count is how many times this process holds a lock that the server has granted once.
type count struct {
	shared bool
	n      int
}

// openSession opens a connection for session locks, if they work here.
func (ls *leases) openSession(ctx context.Context, l *lease) error {
	c := ls.c
	locker, err := c.sessions.locker()
	if err != nil {
		return err
	}
	a := &sessionBackend{
		c: c, busy: make(chan struct{}, 1), held: make(map[string]*count), cached: make(map[string]cachedHolder),
	}
	_, err = c.store.Retry(ctx, func(ctx context.Context) (err error) {
		l.id, l.validity = rand.Text(), clock.Validity{Sent: clock.Now(), TTL: l.ttl}
		a.conn, err = c.sessions.open(ctx, locker)
		return err
	})
	if err != nil {
		return c.store.failed("opening a connection for session locks", err)
	}
	l.backend = a
	return nil
}

// enter waits until the connection is free for the caller's statement.
func (a *sessionBackend) enter(ctx context.Context) error {
	select {
	case a.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *sessionBackend) leave() { <-a.busy }

func (a *sessionBackend) take(ctx, caller context.Context, l *lease, req acquisition, readFirst bool) (*Lock, error) {
	want := dialect.ServerLock{Name: req.Name, Shared: req.Shared}
	held, err := a.try(ctx, l, want, readFirst)
	if err == nil && held == nil {
		return l.grant(caller, &Lock{claim: dialect.Claim{Key: dialect.Key{Name: req.Name}}, shared: req.Shared})
	}
	l.removeUser()
	if err != nil {
		return nil, a.c.store.failed(fmt.Sprintf("acquiring session lock %q", req.Name), err)
	}
	return nil, held
}

// try takes the lock, or returns who holds it. It doesn't ask the server for a lock that this
// process holds, because a server may grant it to its own session once more.
func (a *sessionBackend) try(
	ctx context.Context, l *lease, want dialect.ServerLock, readFirst bool,
) (*HeldError, error) {
	if err := a.enter(ctx); err != nil {
		return nil, err
	}
	defer a.leave()
	if has := a.held[want.Name]; has != nil {
		if !has.shared || !want.Shared {
			return &HeldError{Name: want.Name, Holder: a.c.opts.Holder, Self: true, reason: reasonSelf}, nil
		}
		has.n++
		return nil, nil
	}
	granted, err := a.conn.TryLock(ctx, []dialect.ServerLock{want})
	switch {
	case err != nil:
		return nil, a.unlockAfterError(l, want, err)
	case granted[0]:
		a.held[want.Name] = &count{shared: want.Shared, n: 1}
		delete(a.cached, want.Name)
		return nil, nil
	}
	if last, ok := a.cached[want.Name]; readFirst && ok && clock.Now().Since(last.at) < cachedHolderTTL {
		return last.held, nil
	}
	if len(a.cached) >= maxCachedHolders {
		clear(a.cached)
	}
	held := a.heldBy(ctx, want)
	a.cached[want.Name] = cachedHolder{at: clock.Now(), held: held}
	return held, nil
}

// unlockAfterError makes sure that nothing is held after a try that failed. If it can't, it gives
// up the connection.
func (a *sessionBackend) unlockAfterError(l *lease, lock dialect.ServerLock, err error) error {
	if errors.Is(err, ErrUnsupported) || errors.Is(err, ErrInvalid) {
		return err
	}
	ctx := a.c.store.Operation(context.Background())
	if _, unlock := a.conn.Unlock(ctx, []dialect.ServerLock{lock}); unlock != nil {
		l.lose(fmt.Sprintf("the connection of the session locks failed: %v", err))
	}
	return err
}

// heldBy returns who holds the lock, as far as the server says.
func (a *sessionBackend) heldBy(ctx context.Context, lock dialect.ServerLock) *HeldError {
	e := &HeldError{Name: lock.Name, reason: "held by another session of the server"}
	holders, err := a.conn.HeldBy(ctx, []dialect.ServerLock{lock})
	if err != nil { // if the connection has failed, the next try finds out
		a.c.log.Debug("sqllock: can't see who holds a session lock", "lock", lock.Name, "err", err)
		return e
	}
	if h := holders[0]; h.Holder != "" {
		e.Holder, e.Connected, e.reason = h.Holder, h.Since, "held by "+h.Holder
		if !h.Since.IsZero() {
			e.reason += ", connected since " + h.Since.UTC().Format(time.RFC3339)
		}
	}
	return e
}

func (a *sessionBackend) release(ctx context.Context, l *Lock) (bool, error) {
	ours, err := a.unlock(ctx, l.Name())
	switch {
	case err != nil:
		l.lease.lose(fmt.Sprintf("a release couldn't be confirmed, so the connection was given up: %v", err))
		return false, a.c.store.failed(fmt.Sprintf("releasing session lock %q: its connection was closed, and the "+
			"server releases the lock when it notices", l.Name()), err)
	case !ours:
		l.lease.lose("the server's session isn't the one that took the lock")
	default:
		a.c.queues.freed(l.lease.queueKey(l.claim.Key))
	}
	return ours, nil
}

func (a *sessionBackend) unlock(ctx context.Context, name string) (bool, error) {
	if err := a.enter(ctx); err != nil {
		return false, err
	}
	defer a.leave()
	has := a.held[name]
	if has == nil {
		return false, nil
	}
	if has.n--; has.n > 0 {
		return true, nil
	}
	delete(a.held, name)
	ours, err := a.conn.Unlock(ctx, []dialect.ServerLock{{Name: name, Shared: has.shared}})
	return err == nil && ours[0], err
}

func (a *sessionBackend) releaseLater(l *lease, claim dialect.Claim, _ time.Duration) {
	a.c.store.Spawn(func() {
		ctx := a.c.store.Operation(context.Background())
		if _, err := a.unlock(ctx, claim.Name); err != nil {
			l.lose(fmt.Sprintf("discarding a lock couldn't be confirmed, so the connection was given up: %v", err))
		}
		a.c.queues.freed(l.queueKey(claim.Key))
	})
}

// heartbeat checks whether the session is still there. A failure means that the driver has closed
// the connection.
func (a *sessionBackend) heartbeat(ctx context.Context, _ *lease) error {
	if err := a.enter(ctx); err != nil {
		return err
	}
	defer a.leave()
	if err := a.conn.Ping(ctx); err != nil {
		return fmt.Errorf("%w: the connection of the session locks ended: %w", errOver, err)
	}
	a.c.store.Answered(time.Now())
	return nil
}

// heartbeatTimeout is all that is left of the lease, because canceling a ping breaks the
// connection.
func (a *sessionBackend) heartbeatTimeout(_ *lease, left time.Duration) time.Duration { return left }

func (a *sessionBackend) end(context.Context, *lease) error { return a.conn.Close() }

func (a *sessionBackend) abandon() {
	if err := a.conn.Close(); err != nil {
		a.c.log.Debug("sqllock: closing the connection of the session locks failed", "err", err)
	}
}

// sessions opens the sessions that hold locks.
type sessions struct {
	store   *database
	options dialect.SessionOptions
	proven  atomic.Bool // session locks were shown to work here
}

// locker returns the engine as a [dialect.SessionLocker], if it has session locks.
func (s *sessions) locker() (dialect.SessionLocker, error) {
	locker, ok := s.store.Dialect.(dialect.SessionLocker)
	if !ok {
		return nil, fmt.Errorf("sqllock: %w: %s has no session locks; use a lease lock, which is the default",
			ErrUnsupported, s.store.Name())
	}
	return locker, nil
}

// open opens a session. The first session has to prove that session locks work here, by competing
// with another one. As long as the proof fails, it is repeated for each session.
func (s *sessions) open(ctx context.Context, locker dialect.SessionLocker) (dialect.Session, error) {
	session, err := locker.OpenSession(ctx, s.options)
	if err != nil || s.proven.Load() {
		return session, err
	}
	rival, err := locker.OpenSession(ctx, s.options)
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	defer rival.Close() //nolint:errcheck // it holds nothing that matters
	if err := prove(ctx, session, rival); err != nil {
		return nil, errors.Join(err, session.Close())
	}
	s.proven.Store(true)
	return session, nil
}

// prove lets two sessions compete for a lock. If both get it, it is no lock: behind a transaction
// pooler they may be one session of the server, and some imitations of PostgreSQL have had lock
// functions that did nothing.
func prove(ctx context.Context, session, rival dialect.Session) error {
	const changesSessions = "a connection doesn't have the lock that it took: " +
		"a pooler changes sessions between statements"
	lock := []dialect.ServerLock{{Name: "sqllock probe " + rand.Text()}}
	type ask = func(context.Context, []dialect.ServerLock) ([]bool, error)
	for _, step := range []struct {
		ask  ask
		want bool
		what string // what another answer means
	}{
		{session.TryLock, true, "a lock that nobody has was refused"},
		{
			rival.TryLock, false,
			"two connections got the same lock: a pooler shares the server's sessions, or its locks do nothing",
		},
		{session.Unlock, true, changesSessions},
		{rival.TryLock, true, "a lock stayed taken after its release"},
		{rival.Unlock, true, changesSessions},
	} {
		answer, err := step.ask(ctx, lock)
		if err != nil {
			return err
		}
		if answer[0] != step.want {
			return fmt.Errorf("%w: session locks can't be trusted here: %s; use a lease lock, which can",
				ErrUnsupported, step.what)
		}
	}
	return nil
}

// compete repeats the proof that precedes the first session lock, because a pooler may have been
// put in between since then.
func (s *sessions) compete(ctx context.Context) error {
	locker, err := s.locker()
	if err != nil {
		return err
	}
	s.proven.Store(false)
	_, err = s.store.Retry(ctx, func(ctx context.Context) error {
		session, err := s.open(ctx, locker)
		if err == nil {
			err = session.Close()
		}
		return err
	})
	if err != nil {
		return s.store.failed("trying out session locks", err)
	}
	return nil
}
