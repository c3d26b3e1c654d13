package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// session is one connection and the advisory locks that the server holds for it.
type session struct {
	conn *engine.Dedicated
	pid  int64 // of the server's process
}

// TryLock tries each lock once, and waits for none: one statement for all. A statement that waits would keep CREATE
// INDEX CONCURRENTLY waiting for its snapshot, and one that gives up waiting would be an ERROR in the server's log.
func (s *session) TryLock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return s.each(ctx, "try session lock", sqlSessionTry, locks)
}

// Unlock lets go of each lock: one statement for all. The server logs a WARNING for each that isn't held.
func (s *session) Unlock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return s.each(ctx, "unlock session lock", sqlSessionUnlock, locks)
}

// each runs a statement that answers for each lock by itself.
func (s *session) each(ctx context.Context, what, text string, locks []dialect.ServerLock) ([]bool, error) {
	if len(locks) == 0 {
		return nil, nil
	}
	type answer struct {
		pid   int64
		place int
		done  bool
	}
	keys, shared := arrays(locks)
	answers, err := within(ctx, s, func(rows *sql.Rows, a *answer) error {
		return rows.Scan(&a.pid, &a.place, &a.done)
	}, text, keys, shared)
	if err == nil && len(answers) != len(locks) {
		err = fmt.Errorf("%d answers to %d questions", len(answers), len(locks))
	}
	if err != nil {
		return nil, fail(what, err)
	}
	done := make([]bool, len(locks))
	for _, a := range answers {
		if err := s.same(a.pid); err != nil {
			return nil, fail(what, err)
		}
		done[a.place-1] = a.done
	}
	return done, nil
}

// HeldBy reads who holds the locks: by the application_name of their connection (by its user's name where it has none),
// with the number of its process in the server and the address that it comes from. The holders of a shared lock that
// connected later than the first aren't told, and where another user holds the lock his address may be hidden.
func (s *session) HeldBy(ctx context.Context, locks []dialect.ServerLock) ([]dialect.SessionHolder, error) {
	if len(locks) == 0 {
		return nil, nil
	}
	type seen struct {
		place int
		dialect.SessionHolder
	}
	keys, _ := arrays(locks)
	found, err := within(ctx, s, func(rows *sql.Rows, one *seen) error {
		var name, address sql.NullString
		var pid int64
		var since sql.NullInt64
		err := rows.Scan(&one.place, &pid, &name, &address, &since)
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
		holders[one.place-1] = one.SessionHolder
	}
	return holders, nil
}

// describe is "app-1 (pid 4711, 10.0.0.7)".
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

// Ping asks the server who it is: one round trip.
func (s *session) Ping(ctx context.Context) error {
	pids, err := within(ctx, s, func(rows *sql.Rows, pid *int64) error { return rows.Scan(pid, new(bool)) }, sqlSession)
	if err == nil && len(pids) != 1 {
		err = errors.New("the server didn't say who it is")
	}
	if err == nil {
		err = s.same(pids[0])
	}
	return fail("ping session", err)
}

// Close ends the connection.
func (s *session) Close() error { return fail("close session", s.conn.Close()) }

// same is an error unless that is the process in the server that the session was opened with. It is no ErrUnsupported,
// after which nothing would have happened: something has, in a session of somebody else's.
func (s *session) same(pid int64) error {
	if pid == s.pid {
		return nil
	}
	return fmt.Errorf("process %d of the server answers and not %d, which the session began with, so its locks are lost: "+
		"has a pooler in transaction mode come between? use lease locks there", pid, s.pid)
}

// within runs a statement until ctx ends or the session is closed.
func within[T any](ctx context.Context, s *session, scan func(*sql.Rows, *T) error, text string, args ...any) ([]T, error) {
	inner, cancel := s.conn.Within(ctx)
	defer cancel()
	all, err := query(inner, s.conn, scan, text, args...)
	if err != nil && ctx.Err() == nil && inner.Err() != nil {
		return nil, fmt.Errorf("%w: the session was closed meanwhile", sql.ErrConnDone)
	}
	return all, err
}
