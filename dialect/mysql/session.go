package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

const (
	lockPrefix = "sqllock:"

	// maxPerCall is how many locks go in one statement. Each is a column of its result.
	maxPerCall = 200
)

// session is one connection with GET_LOCK's locks. Its statements are sent as text: the only
// variable parts are hashes, and preparing the statements would cost two more round trips.
type session struct {
	conn   *engine.Dedicated
	id     int64  // the server's id of the connection
	schema string // the schema of the locks
	marker string // a lock that only this session takes
}

// errOtherSession is Ping's error if the session has changed.
var errOtherSession = errors.New("this is another session of the server's than it was, and its locks are gone")

// TryLock takes the locks that are free, with one statement for up to 200. It never waits, so it
// can't leave a waiter behind on the server.
func (s *session) TryLock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	for _, lock := range locks {
		if lock.Shared {
			return nil, fail("lock "+fmt.Sprintf("%q", lock.Name), fmt.Errorf("%w: GET_LOCK has no shared mode; take "+
				"an exclusive lock, or a shared one in a transaction", dialect.ErrUnsupported))
		}
	}
	got, err := s.each(ctx, "GET_LOCK('%s', 0)", locks)
	for i := range got {
		if err == nil && !got[i].Valid {
			err = fmt.Errorf("GET_LOCK of %q returned NULL: the server is out of memory, or the session is being "+
				"killed", locks[i].Name)
		}
	}
	return are(1, got), fail("lock", engine.WithCause(ctx, err))
}

// Unlock releases the locks, with one statement for up to 200.
func (s *session) Unlock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	got, err := s.each(ctx, "RELEASE_LOCK('%s')", locks) // NULL: no session has it
	return are(1, got), fail("unlock", engine.WithCause(ctx, err))
}

// Ping checks that the connection still has the lock that only it can have. Then it is the same
// session, whatever proxies and failovers there were. A server that has become read-only since is
// no longer the one that decides.
func (s *session) Ping(ctx context.Context) error {
	within, done := s.conn.Within(ctx)
	defer done()
	var id int64
	var user sql.NullInt64
	var readOnly string
	_, err := one(within, s.conn, func(rows dialect.Rows, _ *struct{}) error {
		return rows.Scan(&id, &user, &readOnly)
	}, fmt.Sprintf("SELECT CONNECTION_ID(), IS_USED_LOCK('%s'), @@read_only", s.marker))
	switch {
	case err != nil:
	case id != s.id || user.Int64 != s.id:
		err = fmt.Errorf("%w: connection %d was %d", errOtherSession, id, s.id)
	case !off(readOnly):
		err = errReadOnly
	}
	return fail("ping", engine.WithCause(ctx, err))
}

// Close ends the connection and a call in progress. It tells the server, and doesn't wait for a
// reply.
func (s *session) Close() error { return fail("close a session", s.conn.Close()) }

// each calls a function for every lock's name. Each result is a number or NULL.
func (s *session) each(ctx context.Context, function string, locks []dialect.ServerLock) ([]sql.NullInt64, error) {
	ctx, done := s.conn.Within(ctx)
	defer done()
	results := make([]sql.NullInt64, 0, len(locks))
	for some := range slices.Chunk(locks, maxPerCall) {
		calls := make([]string, len(some))
		for i, lock := range some {
			calls[i] = fmt.Sprintf(function, lockName("session", s.schema, lock.Name))
		}
		row, err := one(ctx, s.conn, func(rows dialect.Rows, row *[]sql.NullInt64) error {
			*row = make([]sql.NullInt64, len(some))
			columns := make([]any, len(some))
			for i := range columns {
				columns[i] = &(*row)[i]
			}
			return rows.Scan(columns...)
		}, "SELECT "+strings.Join(calls, ", "))
		if err != nil {
			return nil, err
		}
		results = append(results, row...)
	}
	return results, nil
}

func are(want int64, results []sql.NullInt64) []bool {
	if results == nil {
		return nil
	}
	is := make([]bool, len(results))
	for i, a := range results {
		is[i] = a.Valid && a.Int64 == want
	}
	return is
}

// lockName returns a name for GET_LOCK: at most 64 characters, in one case, distinct for all
// databases of the server.
func lockName(kind, schema, name string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + schema + "\x00" + name))
	return lockPrefix + hex.EncodeToString(sum[:])[:64-len(lockPrefix)]
}
