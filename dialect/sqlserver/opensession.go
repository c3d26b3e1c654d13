package sqlserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"unicode/utf8"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// errNoConnector says what to pass to New.
var errNoConnector = fmt.Errorf("%w: session locks have connections of their own, and a *sql.DB doesn't reveal how it "+
	"connects: sqlserver.New(db, sqlserver.WithConnector(connector)), with sqlserver.Connector(url) or the "+
	"*mssql.Connector that was given to sql.OpenDB", dialect.ErrUnsupported)

// OpenSession opens a connection for application locks (sp_getapplock). They are named by a hash,
// within one database.
//
// SQL Server has no setting to end a session from which it receives nothing, so Idle is ignored.
// The locks of a holder that is frozen, or cut off without notice to the server, stay until the
// operating system closes the connection. Use a lease lock where that matters.
//
// The error wraps [dialect.ErrUnsupported] in these cases:
//
//   - The dialect has no connector; see [WithConnector].
//   - The database takes no writes, like a secondary, whose locks are local to it.
//   - Two connections were both given the same lock. OpenSession tries this with a second
//     connection, once, and once again after each Probe.
func (d *Dialect) OpenSession(ctx context.Context, options dialect.SessionOptions) (dialect.Session, error) {
	s, err := d.openSession(ctx, options)
	if err != nil {
		return nil, fail("open a session", err)
	}
	return s, nil
}

func (d *Dialect) openSession(ctx context.Context, options dialect.SessionOptions) (*session, error) {
	s, err := d.dial(ctx, options.Holder)
	if err != nil {
		return nil, err
	}
	marker := dialect.ServerLock{Name: s.marker}
	switch marked, tried := s.try(ctx, marker); {
	case tried != nil:
		err = tried
	case !marked:
		err = fmt.Errorf("%w: a free lock was refused; use a lease lock", dialect.ErrUnsupported)
	default:
		err = s.ping(ctx)
	}
	if err == nil && !d.proven.Load() {
		err = d.prove(ctx, s, marker)
		d.proven.Store(err == nil)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// dial connects, and records the holder's name.
func (d *Dialect) dial(ctx context.Context, holder string) (*session, error) {
	connector, known := d.connector.(*mssql.Connector)
	switch {
	case d.db == nil:
		return nil, dialect.CheckDB(nil)
	case !known:
		return nil, errNoConnector
	}
	s := &session{socket: new(socket), marker: rand.Text()}
	conn, err := engine.Dial(ctx, s.socket.through(connector))
	if err != nil {
		return nil, engine.WithCause(ctx, err)
	}
	s.conn = conn
	if _, err := ask(ctx, s, engine.One[int], sqlSessionInfo, contextInfo(holder)); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// contextInfo returns as much of holder as the server keeps.
func contextInfo(holder string) []byte {
	const most = 128
	for len(holder) > most {
		_, size := utf8.DecodeLastRuneInString(holder)
		holder = holder[:len(holder)-size]
	}
	return []byte(cmp.Or(holder, " "))
}

// prove tries with a second connection whether the session's marker excludes it, and whether the
// first is still the same session after that.
func (d *Dialect) prove(ctx context.Context, s *session, marker dialect.ServerLock) error {
	second, err := d.dial(ctx, "sqllock probe")
	if err != nil {
		return err
	}
	defer second.Close() //nolint:errcheck // it has nothing that would stay
	marked, err := second.try(ctx, marker)
	if err != nil {
		return err
	}
	if marked {
		return fmt.Errorf("%w: a second connection was given a lock that the first has: there is something between "+
			"here and the server that shares its sessions; connect past it, or use a lease lock",
			dialect.ErrUnsupported)
	}
	if err := s.ping(ctx); errors.Is(err, errOtherSession) {
		return fmt.Errorf("%w: there is something between here and the server that gives a session to another "+
			"between two statements; connect past it, or use a lease lock: %w", dialect.ErrUnsupported, err)
	} else if err != nil {
		return err
	}
	return nil
}

// describe returns a text like "app-1 (session 51, sqllock on host7)".
func describe(id int64, program, host string, info []byte) string {
	where := fmt.Sprintf("session %d", id)
	if program != "" {
		where += ", " + program
	}
	if host != "" {
		where += " on " + host
	}
	if name := holderName(info); name != "" {
		return name + " (" + where + ")"
	}
	return where
}
