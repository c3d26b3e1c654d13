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
	"github.com/sqllock/sqllock/internal/engine"
)

const (
	lockPrefix = "sqllock:"

	// together is how many locks go in one statement: each is a column of its answer.
	together = 200
)

// session is one connection with GET_LOCK's locks. Its statements are sent as text: nothing in them is from outside but
// hashes, and preparing them would cost two more round trips.
type session struct {
	conn   *engine.Dedicated
	id     int64  // the server's, of the connection
	schema string // that the locks are of
	marker string // a lock of this session alone
}

// errOtherSession is what Ping found.
var errOtherSession = errors.New("this is another session of the server's than it was, and its locks are gone")

// TryLock takes the locks that are free: one statement for up to 200. It never waits, and so no waiter of it can be left
// on the server.
func (s *session) TryLock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	for _, lock := range locks {
		if lock.Shared {
			return nil, fail("lock "+fmt.Sprintf("%q", lock.Name), fmt.Errorf("%w: GET_LOCK has no shared mode; take an "+
				"exclusive lock, or a shared one in a transaction", dialect.ErrUnsupported))
		}
	}
	got, err := s.each(ctx, "GET_LOCK('%s', 0)", locks)
	for i := range got {
		if err == nil && !got[i].Valid {
			err = fmt.Errorf("GET_LOCK of %q answered NULL: the server is out of memory, or the session is being killed", locks[i].Name)
		}
	}
	return are(1, got), fail("lock", because(ctx, err))
}

// Unlock lets go of the locks: one statement for up to 200.
func (s *session) Unlock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	got, err := s.each(ctx, "RELEASE_LOCK('%s')", locks) // NULL: nobody has it
	return are(1, got), fail("unlock", because(ctx, err))
}

// Ping asks whether the connection still has the lock that only it can have. That is the same session, whatever proxies
// and failovers there were. A server that has become read-only since is no longer the one that decides.
func (s *session) Ping(ctx context.Context) error {
	within, done := s.conn.Within(ctx)
	defer done()
	var id int64
	var user sql.NullInt64
	var readOnly string
	_, err := one(within, s.conn, func(rows *sql.Rows, _ *struct{}) error {
		return rows.Scan(&id, &user, &readOnly)
	}, fmt.Sprintf("SELECT CONNECTION_ID(), IS_USED_LOCK('%s'), @@read_only", s.marker))
	switch {
	case err != nil:
	case id != s.id || user.Int64 != s.id:
		err = fmt.Errorf("%w: connection %d was %d", errOtherSession, id, s.id)
	case !off(readOnly):
		err = errReadOnly
	}
	return fail("ping", because(ctx, err))
}

// Close ends the connection and a call that is under way. It says goodbye, and doesn't wait for an answer.
func (s *session) Close() error { return fail("close a session", s.conn.Close()) }

// each asks a function of every lock's name. Each answer is a number or NULL.
func (s *session) each(ctx context.Context, function string, locks []dialect.ServerLock) ([]sql.NullInt64, error) {
	ctx, done := s.conn.Within(ctx)
	defer done()
	answers := make([]sql.NullInt64, 0, len(locks))
	for some := range slices.Chunk(locks, together) {
		calls := make([]string, len(some))
		for i, lock := range some {
			calls[i] = fmt.Sprintf(function, lockName("session", s.schema, lock.Name))
		}
		row, err := one(ctx, s.conn, func(rows *sql.Rows, row *[]sql.NullInt64) error {
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
		answers = append(answers, row...)
	}
	return answers, nil
}

func are(want int64, answers []sql.NullInt64) []bool {
	if answers == nil {
		return nil
	}
	is := make([]bool, len(answers))
	for i, a := range answers {
		is[i] = a.Valid && a.Int64 == want
	}
	return is
}

// lockName is a name for GET_LOCK: 64 characters at most, in one case, for all databases of the server.
func lockName(kind, schema, name string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + schema + "\x00" + name))
	return lockPrefix + hex.EncodeToString(sum[:])[:64-len(lockPrefix)]
}
