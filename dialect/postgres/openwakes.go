package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// errDeaf is what a pooler does to LISTEN: it succeeds, in a server process that others get, too.
var errDeaf = fmt.Errorf("%w: this connection can't be told when a lock is handed over, since it isn't a session, as behind "+
	"a pooler in transaction mode: waiting is polling there; connect to PostgreSQL itself, or to a pooler in session mode",
	dialect.ErrUnsupported)

// OpenWakes opens a connection that listens on a channel of its own, the way that OpenSession connects. It makes sure that
// the connection is a session, sends itself a message over the pool, and waits for it. Where nothing is heard the error
// wraps ErrUnsupported. The driver must be pgx.
//
// The server shows holder as the connection's application_name, and ends the connection of a process that is frozen.
func (d *Dialect) OpenWakes(ctx context.Context, holder string) (dialect.Wakes, error) {
	w, err := d.openWakes(ctx, holder)
	if err != nil {
		return nil, fail("open wakes", err)
	}
	return w, nil
}

func (d *Dialect) openWakes(ctx context.Context, holder string) (*wakes, error) {
	connector, err := d.dialer.connector(ctx, d.db)
	if err != nil {
		return nil, err
	}
	s, err := dial(ctx, connector)
	if err != nil {
		return nil, err
	}
	w := &wakes{conn: s.conn, channel: "sqllock_" + strings.ToLower(rand.Text())}
	if err = d.listen(ctx, s, connector, holder, w); err != nil {
		_ = s.Close()
		return nil, withCause(ctx, err)
	}
	return w, nil
}

// listen hears itself soon where all is well. Else it finds out whether it is a session at all: through a pooler LISTEN stays
// with a connection that is others', and what comes there is dropped.
func (d *Dialect) listen(ctx context.Context, s *session, connector driver.Connector, holder string, w *wakes) error {
	if err := s.set(ctx, dialect.SessionOptions{Holder: holder, Idle: 4 * quiet}); err != nil {
		return err
	}
	if _, err := exec(ctx, w.conn, "LISTEN "+w.channel); err != nil {
		return err
	}
	err := w.prove(ctx, d, proveSoon)
	if !errors.Is(err, errDeaf) {
		return err
	}
	if !d.tried.Load() {
		err = tryApart(ctx, s, connector, func(*sql.Tx) error { return nil })
		if errors.Is(err, errPooler) {
			return errDeaf
		}
		if err != nil {
			return err
		}
	}
	return w.prove(ctx, d, proveWithin) // a session, of a server that is slow
}

// prove sends a message over the pool, where releases are, and waits for it.
func (w *wakes) prove(ctx context.Context, d *Dialect, within time.Duration) error {
	const word = "0 sqllock trial"
	if _, err := query(ctx, d.pool, func(*sql.Rows, *struct{}) error { return nil }, sqlNotify, w.channel, word); err != nil {
		return err
	}
	err := w.conn.Raw(func(raw any) error {
		conn := pgxOf(raw)
		if conn == nil {
			return fmt.Errorf("%w: wake-ups need pgx, and the connector that was given is of another driver; waiting is "+
				"polling", dialect.ErrUnsupported)
		}
		message, err := hearWithin(ctx, conn, within)
		if ctx.Err() == nil && (message == nil || message.Payload != word) {
			return fmt.Errorf("%w: a message that was sent over the pool wasn't heard within %s", errDeaf, within)
		}
		return err
	})
	return err
}
