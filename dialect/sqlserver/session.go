package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// session is one connection and the application locks that the server holds for it.
type session struct {
	conn   *engine.Dedicated
	socket *socket
	marker string // a lock that only this session takes
	blind  bool   // the server doesn't show who holds a lock
}

var (
	errOtherSession = errors.New("this is another session of the server's than it was, and its locks are gone")
	errSecondary    = fmt.Errorf("%w: this database takes no writes and may be a secondary, whose locks are its own; "+
		"connect to the primary, without ApplicationIntent=ReadOnly", dialect.ErrUnsupported)
)

// TryLock takes the locks that are free, with one statement for each. None of them waits.
func (s *session) TryLock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return each("lock", locks, func(lock dialect.ServerLock) (bool, error) { return s.try(ctx, lock) })
}

func (s *session) try(ctx context.Context, lock dialect.ServerLock) (bool, error) {
	return granted(ask(ctx, s, engine.One[int], sqlTrySession, text(sessionKind.resource(lock.Name)), text(mode(lock))))
}

// Unlock releases the locks, with one statement for each.
func (s *session) Unlock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return each("unlock", locks, func(lock dialect.ServerLock) (bool, error) {
		statuses, err := ask(ctx, s, engine.One[int], sqlUnlockSession, text(sessionKind.resource(lock.Name)))
		return len(statuses) == 1 && statuses[0] >= 0, err
	})
}

// Ping checks that the session still has the lock that only it can have. Then it is the same
// session, whatever proxies and failovers there were. A database that has become read-only since is
// no longer the one that decides.
func (s *session) Ping(ctx context.Context) error { return fail("ping a session", s.ping(ctx)) }

func (s *session) ping(ctx context.Context) error {
	type marked struct{ mode, writes string }
	found, err := ask(ctx, s, func(rows dialect.Rows, a *marked) error {
		return rows.Scan(&a.mode, &a.writes)
	}, sqlSession, text(sessionKind.resource(s.marker)))
	switch {
	case err != nil:
		return err
	case len(found) != 1 || found[0].mode != mode(dialect.ServerLock{}):
		return errOtherSession
	case found[0].writes != "READ_WRITE":
		return errSecondary
	}
	return nil
}

// HeldBy asks which session has each lock: "app-1 (session 51, sqllock on host7)". The server shows
// that only to accounts with the permission VIEW SERVER STATE (in Azure SQL, VIEW DATABASE STATE).
// Of several sessions that share a lock it returns the one that connected first.
func (s *session) HeldBy(ctx context.Context, locks []dialect.ServerLock) ([]dialect.SessionHolder, error) {
	return each("read who holds a lock", locks, func(lock dialect.ServerLock) (dialect.SessionHolder, error) {
		if s.blind {
			return dialect.SessionHolder{}, nil
		}
		holders, err := ask(ctx, s, scanHolder, sqlSessionHolder, text(sessionKind.resource(lock.Name)))
		if number(err) != 0 && ctx.Err() == nil { // no such permission, or no such view
			s.blind = true
			return dialect.SessionHolder{}, nil
		}
		if err != nil || len(holders) == 0 {
			return dialect.SessionHolder{}, err
		}
		return holders[0], nil
	})
}

func scanHolder(rows dialect.Rows, h *dialect.SessionHolder) error {
	var id, since int64
	var program, host sql.NullString
	var info []byte
	if err := rows.Scan(&id, &program, &host, &info, &since); err != nil {
		return err
	}
	h.Holder, h.Since = describe(id, program.String, host.String, info), time.UnixMicro(since).UTC()
	return nil
}

// Close ends the connection and a call in progress. It cuts the connection, since the driver would
// wait ten seconds for an unresponsive server.
func (s *session) Close() error {
	s.socket.cut()
	return fail("close a session", s.conn.Close())
}

// ask runs a statement until ctx ends. Then it cuts the connection: a statement that was only
// cancelled might have been carried out all the same, and hold a lock that nothing knows of.
func ask[T any](
	ctx context.Context, s *session, scan func(dialect.Rows, *T) error, statement string, args ...any,
) ([]T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.socket.cut)
	defer stop()
	all, err := engine.Query(context.WithoutCancel(ctx), s.conn, scan, statement, args...)
	return all, engine.WithCause(ctx, err)
}

// holderName returns what session_info.sql has written. The server pads it with zeros.
func holderName(info []byte) string {
	return strings.TrimSpace(strings.ToValidUTF8(strings.TrimRight(string(info), "\x00"), ""))
}
