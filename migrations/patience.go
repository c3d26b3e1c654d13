package migrations

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
)

// golang-migrate's drivers wait for their lock inside a statement, without regard to any timeout, and on PostgreSQL that
// statement's snapshot keeps CREATE INDEX CONCURRENTLY waiting: if the holder of the lock is at one, that is a deadlock. So on
// a loan they try, and we wait.

// patient is the statement to send in place of query.
func (l *loan) patient(query string) string {
	switch {
	case query == "" || query != l.lock.Take:
		return query
	case l.noLock:
		return l.lock.None
	}
	return l.lock.Try
}

// execLock does what a driver does about its lock without looking at the answer. A lock that is another's is
// database.ErrLocked. done: that was it.
func (l *loan) execLock(ctx context.Context, query string, args []driver.NamedValue) (answer driver.Result, done bool, err error) {
	switch {
	case query == "":
		return nil, false, nil
	case query == l.lock.Release && l.noLock:
		return driver.ResultNoRows, true, nil
	case query != l.lock.Take:
		return nil, false, nil
	}
	locked, err := l.ask(ctx, query, args)
	if err == nil && !locked {
		err = database.ErrLocked
	}
	return driver.ResultNoRows, true, err
}

// ask runs a query that answers one boolean.
func (l *loan) ask(ctx context.Context, query string, args []driver.NamedValue) (answer bool, err error) {
	rows, err := l.QueryContext(ctx, query, args)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(row); err != nil {
		return false, err
	}
	answer, ok := row[0].(bool)
	if !ok {
		return false, errors.New("the server's answer is no boolean: " + query)
	}
	return answer, nil
}

// isLocked tells whether a driver says that another has its lock.
func (s LockStatements) isLocked(err error) bool {
	_, _, cause := databaseError(err)
	if errors.Is(cause, database.ErrLocked) {
		return true
	}
	said, ok := errors.AsType[*database.Error](err)
	return ok && s.Busy != "" && strings.HasPrefix(said.Err, s.Busy)
}
