package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// OpenSession opens a connection for session locks. It connects as a connection of the pool did, or as WithConnector
// says. The first one of a Dialect opens a second for as long as it takes to try the locks between the two, and so finds
// what only looks like a session: a pooler in transaction mode, a server whose advisory locks are stubs. A standby's
// locks are its own, so it is refused. All that wraps ErrUnsupported.
//
// The server shows Holder as the connection's application_name, cut to its 63 bytes at the end of a character. From
// PostgreSQL 14 on it ends a session that it hears nothing of for longer than Idle (idle_session_timeout, in whole
// milliseconds), and so lets go of the locks of a holder that is frozen or cut off. Zero leaves that as it is.
func (d *Dialect) OpenSession(ctx context.Context, options dialect.SessionOptions) (dialect.Session, error) {
	s, err := d.openSession(ctx, options)
	if err != nil {
		return nil, fail("open session", err)
	}
	return s, nil
}

func (d *Dialect) openSession(ctx context.Context, options dialect.SessionOptions) (*session, error) {
	connector, err := d.dialer.connector(ctx, d.db)
	if err != nil {
		return nil, err
	}
	s, err := dial(ctx, connector)
	if err != nil {
		return nil, err
	}
	if !d.tried.Load() {
		err = trySession(ctx, s, connector)
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

var errStandby = fmt.Errorf("%w: this server is a standby in recovery, and session locks on it are its own: nobody on the "+
	"primary sees them; connect to the primary (for pgx: target_session_attrs=read-write)", dialect.ErrUnsupported)

// dial connects, and remembers who answered.
func dial(ctx context.Context, connector driver.Connector) (*session, error) {
	conn, err := engine.Dial(ctx, connector)
	if err != nil {
		return nil, withCause(ctx, err)
	}
	s := &session{conn: conn}
	standby := false
	_, err = query(ctx, conn, func(rows *sql.Rows, _ *struct{}) error { return rows.Scan(&s.pid, &standby) }, sqlSession)
	if err == nil && standby {
		err = errStandby
	}
	if err != nil {
		_ = s.Close()
		return nil, notThere(err)
	}
	return s, nil
}

// set makes the session's settings. It comes after the trial: behind a pooler they would stay with a connection that
// is others'.
func (s *session) set(ctx context.Context, options dialect.SessionOptions) error {
	_, err := query(ctx, s.conn, func(*sql.Rows, *struct{}) error { return nil }, sqlSessionSettings,
		applicationName(options.Holder), idleTimeout(options.Idle))
	return err
}

// applicationName is as much of holder as the server keeps.
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

// idleTimeout is in whole milliseconds, rounded up, as far as the server counts. Empty: leave it.
func idleTimeout(idle time.Duration) string {
	if idle <= 0 {
		return ""
	}
	const most = 1<<31 - 1
	ms := min((idle-1)/time.Millisecond+1, most)
	return strconv.FormatInt(int64(ms), 10)
}

// notThere says what to do where a server has no advisory locks at all.
func notThere(err error) error {
	var answer interface{ SQLState() string }
	if errors.As(err, &answer) {
		switch answer.SQLState() {
		case "0A000", "42883": // feature_not_supported, undefined_function
			return fmt.Errorf("%w: it has no advisory locks: use lease locks: %w", dialect.ErrUnsupported, err)
		}
	}
	return err
}
