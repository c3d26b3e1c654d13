package sqllock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// sessionLocker is the engine's power to take session locks.
func (c *Client) sessionLocker() (dialect.SessionLocker, error) {
	locker, ok := c.dialect.(dialect.SessionLocker)
	if !ok {
		return nil, fmt.Errorf("sqllock: %w: %s has no session locks; use a lease lock, which is the default",
			ErrUnsupported, c.dialect.Name())
	}
	return locker, nil
}

// provenSession opens a session. The first one has to show that session locks work here, in competition with another;
// where they don't, it is asked of again each time.
func (c *Client) provenSession(ctx context.Context, locker dialect.SessionLocker) (dialect.Session, error) {
	options := dialect.SessionOptions{Holder: c.opts.Holder, Idle: c.opts.KeepAlive}
	session, err := locker.OpenSession(ctx, options)
	if err != nil || c.proven.Load() {
		return session, err
	}
	rival, err := locker.OpenSession(ctx, options)
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	defer rival.Close() //nolint:errcheck // it holds nothing that matters
	if err := prove(ctx, session, rival); err != nil {
		return nil, errors.Join(err, session.Close())
	}
	c.proven.Store(true)
	return session, nil
}

// prove lets two sessions compete for a lock. Where both get it, it is no lock: behind a transaction pooler they may be
// one session of the server's, and look-alikes of PostgreSQL had functions that did nothing.
func prove(ctx context.Context, session, rival dialect.Session) error {
	lock := []dialect.ServerLock{{Name: "sqllock probe " + rand.Text()}}
	type ask = func(context.Context, []dialect.ServerLock) ([]bool, error)
	for _, step := range []struct {
		ask  ask
		want bool
		what string // it means where the answer is another one
	}{
		{session.TryLock, true, "a lock that nobody has was refused"},
		{rival.TryLock, false, "two connections got the same lock: a pooler shares the server's sessions, or its locks do nothing"},
		{session.Unlock, true, "a connection doesn't have the lock that it took: a pooler changes sessions between statements"},
		{rival.TryLock, true, "a lock stayed taken after its release"},
		{rival.Unlock, true, "a connection doesn't have the lock that it took: a pooler changes sessions between statements"},
	} {
		answer, err := step.ask(ctx, lock)
		if err != nil {
			return err
		}
		if answer[0] != step.want {
			return fmt.Errorf("%w: session locks can't be trusted here: %s; use a lease lock, which can", ErrUnsupported, step.what)
		}
	}
	return nil
}
