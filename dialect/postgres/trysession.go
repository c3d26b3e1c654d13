package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

var (
	errPooler = fmt.Errorf("%w: this connection isn't a session: its statements run in server processes that others get, "+
		"too, as behind a pooler in transaction mode, where a session lock would stay with somebody else; use lease locks "+
		"or transaction locks, which work there, or connect to PostgreSQL itself, or to a pooler in session mode",
		dialect.ErrUnsupported)
	errStub = fmt.Errorf("%w: two sessions were given the same advisory lock, so this server only pretends to have them; "+
		"use lease locks", dialect.ErrUnsupported)
	errNever = fmt.Errorf("%w: an advisory lock that nobody has was refused, or couldn't be let go; use lease locks",
		dialect.ErrUnsupported)
)

const (
	trialWithin = 10 * time.Second // a pooler that has no server left lets the second connection wait
	trialRounds = 3                // of looking who answers: beside other clients of a pooler, one may look right
)

// trySession tries with a second connection whether a is a session and advisory locks are locks.
func trySession(ctx context.Context, a *session, connector driver.Connector) error {
	return tryApart(ctx, a, connector, func(tx *sql.Tx) error { return tryLock(ctx, a, tx) })
}

// tryApart tries whether a and a second connection are two sessions, and then f, in a transaction of the second.
func tryApart(ctx context.Context, a *session, connector driver.Connector, f func(*sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, trialWithin)
	defer cancel()
	err := trySessions(ctx, a, connector, f)
	if err == nil || errors.Is(err, dialect.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("trying with a second connection whether the first is a session: %w", err)
}

func trySessions(ctx context.Context, a *session, connector driver.Connector, f func(*sql.Tx) error) error {
	b, err := dial(ctx, connector)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	for range trialRounds {
		if err := besides(ctx, a, b, func(*sql.Tx) error { return nil }); err != nil {
			return err
		}
	}
	return besides(ctx, a, b, f)
}

// besides looks who answers a while b has its own process for sure: in a transaction. Only then f.
func besides(ctx context.Context, a, b *session, f func(tx *sql.Tx) error) error {
	if a.pid == b.pid {
		return errPooler
	}
	tx, err := b.conn.BeginTx(ctx, nil)
	if err != nil {
		return moved(err)
	}
	defer tx.Rollback()
	for _, one := range []struct {
		on  engine.Session
		was int64
	}{{tx, b.pid}, {a.conn, a.pid}} {
		pids, err := query(ctx, one.on, func(rows *sql.Rows, pid *int64) error { return rows.Scan(pid, new(bool)) }, sqlSession)
		if err != nil {
			return moved(err)
		}
		if len(pids) != 1 || pids[0] != one.was {
			return errPooler
		}
	}
	return f(tx)
}

// moved tells what a prepared statement finds behind a pooler: another process knows it already, or not yet.
func moved(err error) error {
	var answer interface{ SQLState() string }
	if errors.As(err, &answer) && (answer.SQLState() == "26000" || answer.SQLState() == "42P05") {
		return fmt.Errorf("%w: %w", errPooler, err)
	}
	return err
}

// tryLock takes a lock that nobody else knows. Its second taker is a transaction, so that nothing of that one's stays.
func tryLock(ctx context.Context, a *session, tx *sql.Tx) error {
	lock := dialect.ServerLock{Name: "sqllock trial " + rand.Text()}
	expect := func(want bool, otherwise error, ask func() (bool, error)) error {
		switch got, err := ask(); {
		case err != nil:
			return notThere(err)
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
	given := expect(false, errStub, second)
	if err := expect(true, errNever, freed); given != nil || err != nil {
		return cmp.Or(given, err)
	}
	return expect(true, errNever, second)
}

func first(answers []bool, err error) (bool, error) {
	return len(answers) == 1 && answers[0], err
}
