package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// session is a dedicated connection with the advisory locks that the server holds for it.
type session struct {
	conn dedicated
	pid  int64 // of the server's process
}

// TryLock tries each lock once, with one statement for all, and waits for none. A statement that
// waits would block CREATE INDEX CONCURRENTLY, which waits for its snapshot, and giving up such a
// wait would be an ERROR in the server's log.
func (s *session) TryLock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return s.each(ctx, "try session lock", sqlSessionTry, locks)
}

// Unlock releases each lock, with one statement for all. The server logs a WARNING for each lock
// that isn't held.
func (s *session) Unlock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return s.each(ctx, "unlock session lock", sqlSessionUnlock, locks)
}

// each runs a statement that returns one row for each lock.
func (s *session) each(ctx context.Context, what, text string, locks []dialect.ServerLock) ([]bool, error) {
	if len(locks) == 0 {
		return nil, nil
	}
	type result struct {
		pid   int64
		index int
		done  bool
	}
	keys, shared := arrays(locks)
	results, err := within(ctx, s, func(rows dialect.Rows, r *result) error {
		return rows.Scan(&r.pid, &r.index, &r.done)
	}, text, keys, shared, s.pid)
	if err == nil && len(results) != len(locks) {
		err = fmt.Errorf("the server returned %d rows for %d locks", len(results), len(locks))
	}
	if err != nil {
		return nil, fail(what, err)
	}
	done := make([]bool, len(locks))
	for _, r := range results {
		if err := s.same(r.pid); err != nil {
			return nil, fail(what, err)
		}
		done[r.index-1] = r.done
	}
	return done, nil
}

// HeldBy returns the holder of each lock: the application_name of its connection (or its user's
// name if that is empty), with the number of its process in the server and its client address. Of a
// shared lock's holders it returns only the one that connected first. The address may be hidden if
// another user holds the lock.
func (s *session) HeldBy(ctx context.Context, locks []dialect.ServerLock) ([]dialect.SessionHolder, error) {
	if len(locks) == 0 {
		return nil, nil
	}
	type seen struct {
		index int
		dialect.SessionHolder
	}
	keys, _ := arrays(locks)
	found, err := within(ctx, s, func(rows dialect.Rows, one *seen) error {
		var name, address sql.NullString
		var pid int64
		var since sql.NullInt64
		err := rows.Scan(&one.index, &pid, &name, &address, &since)
		one.Holder = describe(name.String, pid, address.String)
		if since.Valid {
			one.Since = time.UnixMicro(since.Int64).UTC()
		}
		return err
	}, sqlSessionHolders, keys)
	if err != nil {
		return nil, fail("see who holds session locks", err)
	}
	holders := make([]dialect.SessionHolder, len(locks))
	for _, one := range found {
		holders[one.index-1] = one.SessionHolder
	}
	return holders, nil
}

// describe returns a text like "app-1 (pid 4711, 10.0.0.7)".
func describe(name string, pid int64, address string) string {
	text := fmt.Sprintf("pid %d", pid)
	if address != "" {
		text += ", " + address
	}
	if name == "" {
		return text
	}
	return name + " (" + text + ")"
}

// Ping checks that the session's own server process replies. It takes one round trip.
func (s *session) Ping(ctx context.Context) error {
	pids, err := within(ctx, s, scanPID, sqlSession)
	if err == nil && len(pids) != 1 {
		err = errors.New("the server didn't say which of its processes replied")
	}
	if err == nil {
		err = s.same(pids[0])
	}
	return fail("ping session", err)
}

// scanPID reads a row of session.sql.
func scanPID(rows dialect.Rows, pid *int64) error { return rows.Scan(pid, new(bool)) }

// Close closes the connection.
func (s *session) Close() error { return fail("close session", s.conn.Close()) }

var errOtherProcess = errors.New("the session's locks are lost: has a pooler in transaction mode come between? use " +
	"lease locks there")

// same returns an error unless pid is the server process that the session was opened with. The
// error doesn't wrap ErrUnsupported, because the session may have had locks before.
func (s *session) same(pid int64) error {
	if pid == s.pid {
		return nil
	}
	return fmt.Errorf("process %d of the server replied and not %d, which the session began with: %w",
		pid, s.pid, errOtherProcess)
}

// within runs a statement until ctx ends or the session is closed.
func within[T any](
	ctx context.Context, s *session, scan func(dialect.Rows, *T) error, text string, args ...any,
) ([]T, error) {
	inner, cancel := s.conn.Within(ctx)
	defer cancel()
	all, err := query(inner, s.conn, scan, text, args...)
	if err != nil && ctx.Err() == nil && inner.Err() != nil {
		return nil, fmt.Errorf("%w: the session was closed meanwhile", sql.ErrConnDone)
	}
	return all, err
}
