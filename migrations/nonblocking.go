package migrations

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
)

// golang-migrate's drivers wait for their lock inside a statement, without regard to any timeout.
// On PostgreSQL the snapshot of that statement makes CREATE INDEX CONCURRENTLY wait; if the lock's
// holder is creating such an index, that is a deadlock. On a sharedConn the driver's statement is
// therefore replaced by one that doesn't wait, and sqllock tries again.

// nonBlocking returns the statement to send in place of query.
func (l *sharedConn) nonBlocking(query string) string {
	switch {
	case query == "" || query != l.lock.Take:
		return query
	case l.noLock:
		return l.lock.None
	}
	return l.lock.Try
}

// execLock executes the statements of a driver's lock whose result the driver doesn't read. If the
// lock is held by another session the error is database.ErrLocked. done reports whether query was
// such a statement.
func (l *sharedConn) execLock(
	ctx context.Context, query string, args []driver.NamedValue,
) (result driver.Result, done bool, err error) {
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

// ask runs a query that returns one boolean.
func (l *sharedConn) ask(ctx context.Context, query string, args []driver.NamedValue) (result bool, err error) {
	rows, err := l.QueryContext(ctx, query, args)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(row); err != nil {
		return false, err
	}
	result, ok := row[0].(bool)
	if !ok {
		return false, errors.New("the server's result is not a boolean: " + query)
	}
	return result, nil
}

// isLocked reports whether an error of a driver says that its lock is held by another session.
func (s LockStatements) isLocked(err error) bool {
	_, _, cause := databaseError(err)
	if errors.Is(cause, database.ErrLocked) {
		return true
	}
	said, ok := errors.AsType[*database.Error](err)
	return ok && s.Busy != "" && strings.HasPrefix(said.Err, s.Busy)
}
