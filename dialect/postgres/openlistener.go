package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// errNoNotifications reports a connection behind a pooler. LISTEN succeeds there, but in a server
// process that other clients use too.
var errNoNotifications = fmt.Errorf("%w: this connection can't be notified when a lock is handed over, "+
	"since it isn't a session, as behind a pooler in transaction mode: waiting is polling there; connect to "+
	"PostgreSQL itself, or to a pooler in session mode", dialect.ErrUnsupported)

// OpenListener opens a connection that listens on a channel of its own. It connects as
// [Dialect.OpenSession] does. It makes sure that the connection is a session: it sends itself a
// message over the pool and waits for it. If the message doesn't arrive, the error wraps
// ErrUnsupported. The driver must be pgx.
//
// The server shows holder as the connection's application_name, and closes the connection if the
// process is frozen.
func (d *Dialect) OpenListener(ctx context.Context, holder string) (dialect.Listener, error) {
	w, err := d.openListener(ctx, holder)
	if err != nil {
		return nil, fail("open listener", err)
	}
	return w, nil
}

func (d *Dialect) openListener(ctx context.Context, holder string) (*listener, error) {
	s, err := d.dialNative(ctx, errPolls)
	if err != nil {
		return nil, err
	}
	w := &listener{conn: s.conn, channel: "sqllock_" + strings.ToLower(rand.Text())}
	if err = d.listen(ctx, s, holder, w); err != nil {
		_ = s.Close()
		return nil, engine.WithCause(ctx, err)
	}
	return w, nil
}

// listen usually receives its own message within proveSoon. Otherwise it finds out whether the
// connection is a session at all: through a pooler LISTEN stays with a server connection that other
// clients use, and what arrives there is dropped.
func (d *Dialect) listen(ctx context.Context, s *session, holder string, w *listener) error {
	if err := s.set(ctx, dialect.SessionOptions{Holder: holder, Idle: 4 * quiet}); err != nil {
		return err
	}
	if _, err := exec(ctx, w.conn, "LISTEN "+w.channel); err != nil {
		return err
	}
	err := w.prove(ctx, d, proveSoon)
	if !errors.Is(err, errNoNotifications) {
		return err
	}
	if !d.tried.Load() {
		err = tryApart(ctx, s, d.pool, func(engine.Session) error { return nil })
		if errors.Is(err, errPooler) {
			return errNoNotifications
		}
		if err != nil {
			return err
		}
	}
	return w.prove(ctx, d, proveWithin) // it is a session, so the server may just be slow
}

// prove sends a message over the pool, as a release does, and waits for it.
func (w *listener) prove(ctx context.Context, d *Dialect, within time.Duration) error {
	const word = "0 sqllock trial"
	ignore := func(dialect.Rows, *struct{}) error { return nil }
	if _, err := query(ctx, d.pool, ignore, sqlNotify, w.channel, word); err != nil {
		return err
	}
	err := w.conn.lend(func(conn *pgx.Conn) error {
		if conn == nil {
			return fmt.Errorf("%w: wake-ups need pgx, and the connector that was given is of another driver; "+
				"waiting is polling", dialect.ErrUnsupported)
		}
		message, err := notifiedWithin(ctx, conn, within)
		if ctx.Err() == nil && (message == nil || message.Payload != word) {
			return fmt.Errorf("%w: a message that was sent over the pool didn't arrive within %s",
				errNoNotifications, within)
		}
		return err
	})
	return err
}
