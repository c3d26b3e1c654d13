package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var (
	errPooler = fmt.Errorf("%w: this connection isn't a session: its statements run in server processes that other "+
		"clients use too, as behind a pooler in transaction mode, where a session lock would stay with another "+
		"client; use lease locks or transaction locks, which work there, or connect to PostgreSQL itself, or to a "+
		"pooler in session mode", dialect.ErrUnsupported)
	errStub = fmt.Errorf("%w: two sessions were given the same advisory lock, so this server only pretends to have "+
		"them; use lease locks", dialect.ErrUnsupported)
	errNever = fmt.Errorf("%w: an advisory lock that nobody has was refused, or couldn't be let go; use lease locks",
		dialect.ErrUnsupported)
)

const (
	trialWithin = 10 * time.Second // a pooler without a free server makes the second connection wait
	// Beside other clients of a pooler that has few connections, each reply may come from the right
	// process by chance.
	trialRounds  = 4
	trialReplies = 2 // within each round's transaction
)

// trySession uses a second connection to try whether a is a session and advisory locks exclude each
// other.
func trySession(ctx context.Context, a *session, p *pool) error {
	return tryApart(ctx, a, p, func(tx engine.Session) error { return tryLock(ctx, a, tx) })
}

// tryApart tries whether a and a second connection are two sessions, and then calls f in a
// transaction of the second.
func tryApart(ctx context.Context, a *session, p *pool, f func(engine.Session) error) error {
	ctx, cancel := context.WithTimeout(ctx, trialWithin)
	defer cancel()
	err := trySessions(ctx, a, p, f)
	if err == nil || errors.Is(err, dialect.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("trying with a second connection whether the first is a session: %w", err)
}

func trySessions(ctx context.Context, a *session, p *pool, f func(engine.Session) error) error {
	b, err := dial(ctx, p)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	for range trialRounds - 1 {
		if err := checkPIDs(ctx, a, b, func(engine.Session) error { return nil }); err != nil {
			return err
		}
	}
	return checkPIDs(ctx, a, b, f)
}

// checkPIDs checks that a and b are each served by their own server process while b is in a
// transaction, in which b certainly has a process to itself. It calls f only if they are.
func checkPIDs(ctx context.Context, a, b *session, f func(tx engine.Session) error) error {
	// A pooler that has nothing else to do serves b with the process that it has just used for a.
	if err := checkPID(ctx, a.conn, a.pid); err != nil {
		return err
	}
	tx, err := b.conn.Begin(ctx) // a pooler in statement mode refuses this
	if err != nil {
		return explainLost(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing in it is to be kept
	if a.pid == b.pid {
		return errPooler
	}
	if err := checkPID(ctx, tx, b.pid); err != nil {
		return err
	}
	for range trialReplies {
		if err := checkPID(ctx, a.conn, a.pid); err != nil {
			return err
		}
	}
	err = f(tx)
	if errors.Is(err, errOtherProcess) {
		return errPooler
	}
	return err
}

// checkPID returns errPooler unless the server process pid replies.
func checkPID(ctx context.Context, on engine.Session, pid int64) error {
	pids, err := query(ctx, on, scanPID, sqlSession)
	if err != nil {
		return explainLost(err)
	}
	if len(pids) != 1 || pids[0] != pid {
		return errPooler
	}
	return nil
}

// explainLost adds errPooler to the error of a prepared statement that was lost behind a pooler:
// another server process doesn't know it yet, or has one of that name already.
func explainLost(err error) error {
	if isUnprepared(err) {
		return fmt.Errorf("%w: %w", errPooler, err)
	}
	return err
}

// tryLock takes a lock with a random name. The second attempt at it runs in a transaction, so that
// nothing of it remains.
func tryLock(ctx context.Context, a *session, tx engine.Session) error {
	lock := dialect.ServerLock{Name: "sqllock trial " + rand.Text()}
	expect := func(want bool, otherwise error, ask func() (bool, error)) error {
		switch got, err := ask(); {
		case err != nil:
			return explainUnsupported(err)
		case got != want:
			return otherwise
		}
		return nil
	}
	taken := func() (bool, error) { return first(a.TryLock(ctx, []dialect.ServerLock{lock})) }
	freed := func() (bool, error) { return first(a.Unlock(ctx, []dialect.ServerLock{lock})) }
	second := func() (bool, error) {
		return first(query(ctx, tx, engine.One[bool], sqlTxTryLock, sessionKind.key(lock.Name)))
	}
	if err := expect(true, errNever, taken); err != nil {
		return err
	}
	stub := expect(false, errStub, second)
	if err := expect(true, errNever, freed); stub != nil || err != nil {
		return cmp.Or(stub, err)
	}
	return expect(true, errNever, second)
}

func first(results []bool, err error) (bool, error) {
	return len(results) == 1 && results[0], err
}
