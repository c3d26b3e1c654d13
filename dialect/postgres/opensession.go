package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// OpenSession opens a connection for session locks. It connects as a connection of the pool did, or
// as [WithConnector] says.
//
// The first call of a Dialect opens a second connection for a moment and tries the locks between
// the two. That finds what only looks like a session: a pooler in transaction mode, or a server
// whose advisory locks are stubs. A standby is refused, because its locks are invisible to the
// primary. All these errors wrap ErrUnsupported.
//
// The server shows options.Holder as the connection's application_name, cut to its 63 bytes at the
// end of a character. From PostgreSQL 14 on it ends a session that it hasn't heard from for longer
// than options.Idle (idle_session_timeout, in whole milliseconds). That releases the locks of a
// holder that is frozen or cut off. An Idle of zero leaves the server's setting as it is.
func (d *Dialect) OpenSession(ctx context.Context, options dialect.SessionOptions) (dialect.Session, error) {
	s, err := d.openSession(ctx, options)
	if err != nil {
		return nil, fail("open session", err)
	}
	return s, nil
}

func (d *Dialect) openSession(ctx context.Context, options dialect.SessionOptions) (*session, error) {
	s, err := d.dialNative(ctx, errPlain("a session lock"))
	if err != nil {
		return nil, err
	}
	if !d.tried.Load() {
		err = trySession(ctx, s, d.pool)
		d.tried.Store(err == nil)
	}
	if err == nil {
		err = s.set(ctx, options)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

var errStandby = fmt.Errorf("%w: this server is a standby in recovery, and session locks on it are its own: nobody on "+
	"the primary sees them; connect to the primary (for pgx: target_session_attrs=read-write)", dialect.ErrUnsupported)

// dialNative is dial for what the plain flavour doesn't have. There it returns refusal.
func (d *Dialect) dialNative(ctx context.Context, refusal error) (*session, error) {
	if f := d.server.Load(); f != nil && f.plain {
		return nil, refusal
	}
	s, err := dial(ctx, d.pool)
	if err != nil {
		return nil, err
	}
	f, err := d.flavour(ctx, s.conn) // not on the pool, whose connections may all be in use
	if err == nil && f.plain {
		err = refusal
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// dial opens a connection, and remembers the server process that serves it.
func dial(ctx context.Context, p *pool) (*session, error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, engine.WithCause(ctx, err)
	}
	s := &session{conn: conn}
	standby := false
	scan := func(rows dialect.Rows, _ *struct{}) error { return rows.Scan(&s.pid, &standby) }
	_, err = query(ctx, conn, scan, sqlSession)
	if err == nil && standby {
		err = errStandby
	}
	if err != nil {
		_ = s.Close()
		return nil, explainUnsupported(err)
	}
	return s, nil
}

// set applies the session's settings. It comes after the trial, because behind a pooler the
// settings would stay with a server connection that other clients use.
func (s *session) set(ctx context.Context, options dialect.SessionOptions) error {
	_, err := query(ctx, s.conn, func(dialect.Rows, *struct{}) error { return nil }, sqlSessionSettings,
		applicationName(options.Holder), idleTimeout(options.Idle))
	return err
}

// applicationName returns as much of holder as the server keeps.
func applicationName(holder string) string {
	const most = 63
	holder = strings.ToValidUTF8(strings.ReplaceAll(holder, "\x00", ""), "")
	if len(holder) <= most {
		return holder
	}
	cut := most
	for !utf8.RuneStart(holder[cut]) {
		cut--
	}
	return holder[:cut]
}

// idleTimeout returns idle in whole milliseconds, rounded up, and at most the server's maximum. It
// returns "" if the setting is to stay as it is.
func idleTimeout(idle time.Duration) string {
	if idle <= 0 {
		return ""
	}
	const most = 1<<31 - 1
	ms := min((idle-1)/time.Millisecond+1, most)
	return strconv.FormatInt(int64(ms), 10)
}

// explainUnsupported adds what to use instead if the server has no advisory locks at all.
func explainUnsupported(err error) error {
	var withState interface{ SQLState() string }
	if errors.As(err, &withState) {
		switch withState.SQLState() {
		case "0A000", "42883": // feature_not_supported, undefined_function
			return fmt.Errorf("%w: it has no advisory locks: use lease locks: %w", dialect.ErrUnsupported, err)
		}
	}
	return err
}
