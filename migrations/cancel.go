package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// cancelTimeout bounds how long a server may take to cancel a statement before its connection is
// cut.
const cancelTimeout = 2 * time.Second

// Session describes how another connection finds a session of the engine and cancels its statement.
type Session struct {
	// ID is a query for the server's own number of the session in which it runs.
	ID string

	// Running is a query for the statement that a session is executing. Its parameter is the
	// session's number.
	Running string

	// Cancel cancels that statement; %d stands for the session's number. It is empty if the driver
	// cancels the statement when its ctx ends.
	Cancel string

	// WaitsFor are queries for the locks of other sessions that a session waits for. Each returns
	// texts for people and has the session's number as its parameter. The first query that returns
	// rows counts.
	WaitsFor []string
}

// identify reads the session's number. Behind a proxy the number may be that of another session, so
// it is never relied on alone: see running.
func (l *sharedConn) identify() error {
	if l.engine.Session.ID == "" {
		return nil
	}
	db := l.pool()
	defer func() {
		_ = db.Close()
		l.lost = false // the pool is closed, not the connection
	}()
	return db.QueryRowContext(l.until, l.engine.Session.ID).Scan(&l.id)
}

// cancelable executes a text and cancels it in the server when ctx ends. It does so only for
// drivers that would merely close the connection, which tells the server nothing.
func (l *sharedConn) cancelable(
	ctx context.Context, text string, do func(ctx context.Context) (driver.Result, error),
) (driver.Result, error) {
	if l.engine.Session.Cancel == "" || l.beside == nil || l.id == 0 || ctx.Done() == nil {
		return do(ctx)
	}
	inner, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	finished, canceled := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(canceled)
		l.cancel(text, finished)
		cut()
	})
	result, err := do(inner)
	close(finished)
	if stop() {
		return result, err
	}
	<-canceled // otherwise the cancellation might hit the next statement
	if err == nil {
		// Some statements end without an error when they are canceled, and the server then skips
		// the rest of the text.
		return nil, ended(ctx)
	}
	return nil, fmt.Errorf("%w (%w)", err, context.Cause(ctx))
}

// cancel asks the server to cancel our statement. It then waits until the statement has ended, for
// cancelTimeout at most.
func (l *sharedConn) cancel(text string, finished <-chan struct{}) {
	ctx, done := context.WithTimeout(context.Background(), cancelTimeout)
	defer done()
	conn, err := l.beside.Conn(ctx)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if !l.running(ctx, conn, text) {
		return
	}
	if _, err := conn.ExecContext(ctx, fmt.Sprintf(l.engine.Session.Cancel, l.id)); err != nil {
		return
	}
	select {
	case <-finished:
	case <-ctx.Done():
	}
}

// running reports whether the session with our number is executing a piece of text. conn may be
// connected to another server, where the number belongs to another session.
func (l *sharedConn) running(ctx context.Context, conn *sql.Conn, text string) bool {
	var now sql.NullString
	if err := conn.QueryRowContext(ctx, l.engine.Session.Running, l.id).Scan(&now); err != nil {
		return false
	}
	statement := strings.TrimSpace(now.String)
	if end := strings.IndexFunc(statement, func(r rune) bool { return r > unicode.MaxASCII }); end >= 0 {
		statement = statement[:end] // the rest may be in another character set
	}
	return statement != "" && strings.Contains(text, statement)
}
