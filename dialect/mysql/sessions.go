package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// errNoConnector says what to pass to New.
var errNoConnector = fmt.Errorf("%w: session locks have connections of their own, and a *sql.DB doesn't reveal how it "+
	"connects: mysql.New(db, mysql.WithConnector(connector)), with mysql.Connector(url) or the connector that was "+
	"given to sql.OpenDB", dialect.ErrUnsupported)

// insteadOfSession is the advice where a session lock can't be relied on.
const insteadOfSession = "use a lease lock"

// OpenSession opens a connection for GET_LOCK. Its locks are named by a hash of the schema's and
// the lock's name, sqllock:54e5…, since GET_LOCK's names apply to the whole server. The server ends
// the connection when it has received nothing for Idle, in whole seconds, plus one second
// (wait_timeout; an Idle of zero keeps the server's default).
//
// The error wraps [dialect.ErrUnsupported] in these cases:
//
//   - The dialect has no connector; see [WithConnector].
//   - The server is a node of a Galera cluster or a member of a group with several primaries, where
//     GET_LOCK is local to a server.
//   - The server is TiDB or Vitess, whose GET_LOCK differs from MySQL's.
//   - The server is read-only.
//   - Two connections were both given the same lock: a proxy makes them share a session, or
//     GET_LOCK does nothing. OpenSession tries this with a second connection, once, and once again
//     after each Probe.
func (d *Dialect) OpenSession(ctx context.Context, options dialect.SessionOptions) (dialect.Session, error) {
	s, err := d.openSession(ctx, options)
	if err != nil {
		return nil, fail("open a session", engine.WithCause(ctx, err))
	}
	return s, nil
}

func (d *Dialect) openSession(ctx context.Context, options dialect.SessionOptions) (*session, error) {
	s, err := d.dial(ctx, options)
	if err != nil {
		return nil, err
	}
	if err = d.begin(ctx, s); err == nil && !d.proven.Load() {
		if err = d.prove(ctx, s); err == nil {
			d.proven.Store(true)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// dial connects, and sets the session's timeout and holder.
func (d *Dialect) dial(ctx context.Context, options dialect.SessionOptions) (*session, error) {
	switch {
	case d.connector == nil && d.db == nil:
		return nil, dialect.CheckDB(nil)
	case d.connector == nil:
		return nil, errNoConnector
	}
	conn, err := engine.Dial(ctx, d.connector)
	if err != nil {
		return nil, err
	}
	set := "SET @sqllock_since = UTC_TIMESTAMP(6), @sqllock_holder = " + literal(options.Holder)
	if options.Idle > 0 {
		set += fmt.Sprintf(", SESSION wait_timeout = %d", seconds(options.Idle))
	}
	if _, err := conn.Exec(ctx, set); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &session{conn: conn, marker: lockPrefix + strings.ToLower(rand.Text())}, nil
}

// seconds returns a wait_timeout that ends nothing before d has passed. The server's maximum is a
// year.
func seconds(d time.Duration) int64 {
	const year = 365 * 24 * time.Hour
	return int64((min(d, year-time.Second)+time.Second-1)/time.Second) + 1
}

// literal returns text as an SQL literal, which needs no prepared statement and so one round trip.
func literal(text string) string {
	return "_utf8mb4 x'" + hex.EncodeToString([]byte(strings.ToValidUTF8(text, "?"))) + "'"
}

// begin reads where the session is, and takes its marker: a lock of a name that no other session
// uses, by which the session is later recognized.
func (d *Dialect) begin(ctx context.Context, s *session) error {
	f, err := d.readFlavour(ctx, s.conn)
	if err == nil {
		err = f.mayHoldSessions()
	}
	if err != nil {
		return err
	}
	var schema sql.NullString
	var readOnly string
	var marked sql.NullInt64
	_, err = one(ctx, s.conn, func(rows dialect.Rows, _ *struct{}) error {
		return rows.Scan(&s.id, &schema, &readOnly, &marked)
	}, fmt.Sprintf("%s, GET_LOCK('%s', 0)", sqlWhere, s.marker))
	switch {
	case err != nil:
		return err
	case !schema.Valid:
		return fmt.Errorf("%w: the connector names no database: add /name after the address", dialect.ErrInvalid)
	case !off(readOnly):
		return fmt.Errorf("%w: a lock on a replica is local to it; connect to the primary: %w",
			dialect.ErrUnsupported, errReadOnly)
	case marked.Int64 != 1:
		return fmt.Errorf("%w: GET_LOCK of an unused name returns %s, so it gives no locks here; %s",
			dialect.ErrUnsupported, formatNumber(marked), insteadOfSession)
	}
	s.schema = schema.String
	return nil
}

// prove tries with a second connection whether the session's marker excludes it, and whether the
// first is still the same session after that.
func (d *Dialect) prove(ctx context.Context, s *session) error {
	second, err := d.dial(ctx, dialect.SessionOptions{Holder: "sqllock probe"})
	if err != nil {
		return err
	}
	defer second.Close() //nolint:errcheck // it has nothing that would stay
	var id int64
	var marked sql.NullInt64
	_, err = one(ctx, second.conn, func(rows dialect.Rows, _ *struct{}) error {
		return rows.Scan(&id, &marked)
	}, fmt.Sprintf("SELECT CONNECTION_ID(), GET_LOCK('%s', 0)", s.marker))
	switch {
	case err != nil:
		return err
	case id == s.id:
		return fmt.Errorf("%w: two connections are one session of the server's, so there is a proxy that shares it; "+
			"connect past it, or %s", dialect.ErrUnsupported, insteadOfSession)
	case marked.Int64 != 0 || !marked.Valid:
		return fmt.Errorf("%w: a second connection was given a lock that the first has (%s): the server's GET_LOCK "+
			"does nothing, or a proxy sends connections to different servers; connect to one server, or %s",
			dialect.ErrUnsupported, formatNumber(marked), insteadOfSession)
	}
	if err := s.Ping(ctx); errors.Is(err, errOtherSession) {
		return fmt.Errorf("%w: there is a proxy that gives a session to another between two statements; connect past "+
			"it, or %s: %w", dialect.ErrUnsupported, insteadOfSession, err)
	} else if err != nil {
		return err
	}
	return nil
}

// formatNumber formats a number from the server for people.
func formatNumber(n sql.NullInt64) string {
	if !n.Valid {
		return "NULL"
	}
	return fmt.Sprint(n.Int64)
}
