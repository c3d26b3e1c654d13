package postgres

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"
)

// On pgx's connections the text of a migration is sent as pgx would send it, in one simple query,
// but not through pgx. There are two reasons. After COPY … FROM STDIN the server waits for data;
// pgx doesn't know that and would wait for the server for ever. And when a ctx ends, pgx closes the
// connection, so the outcome of the statement would remain unknown.

// cancelTimeout bounds how long the server may take to cancel a statement.
const cancelTimeout = 2 * time.Second

// exec executes a text. When ctx ends it asks the server to cancel the statement, and waits for the
// result.
func exec(ctx context.Context, conn driver.Conn, text string) error {
	c, ok := conn.(*stdlib.Conn)
	if !ok {
		return driver.ErrSkip
	}
	if c.Conn().IsClosed() {
		return driver.ErrBadConn
	}
	pg := c.Conn().PgConn()
	canceled := make(chan struct{})
	finished := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(canceled)
		cancel(pg, finished)
	})
	err := simpleQuery(pg, text)
	close(finished)
	if stop() {
		return err
	}
	<-canceled // otherwise the cancellation might hit the next statement
	if err != nil {
		err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
	}
	return err
}

// cancel asks the server to cancel the statement, and cuts the connection if the server doesn't
// respond in time.
func cancel(pg *pgconn.PgConn, finished <-chan struct{}) {
	ctx, done := context.WithTimeout(context.Background(), cancelTimeout)
	defer done()
	_ = pg.CancelRequest(ctx) // if it fails the connection is cut below
	select {
	case <-finished:
	case <-ctx.Done():
		_ = pg.Conn().SetDeadline(time.Now())
	}
}

const noCopyData = "a migration has no standard input to copy data from; write INSERT, or COPY … FROM a file on " +
	"the server"

// simpleQuery sends a text and reads the server's messages to the end.
func simpleQuery(pg *pgconn.PgConn, text string) error {
	pg.Frontend().SendQuery(&pgproto3.Query{String: text})
	if err := pg.Frontend().Flush(); err != nil {
		return broken(pg, err)
	}
	var failed *statementError
	for completed := 0; ; {
		message, err := pg.ReceiveMessage(context.Background())
		if err != nil {
			if failed != nil { // the error ended the session
				err = failed
			}
			return broken(pg, err)
		}
		switch message := message.(type) {
		case *pgproto3.CommandComplete:
			completed++
		case *pgproto3.ErrorResponse:
			if failed == nil {
				failed = &statementError{err: pgconn.ErrorResponseToPgError(message), index: completed}
			}
		case *pgproto3.CopyInResponse, *pgproto3.CopyBothResponse:
			pg.Frontend().Send(&pgproto3.CopyFail{Message: noCopyData})
			if err := pg.Frontend().Flush(); err != nil {
				return broken(pg, err)
			}
		case *pgproto3.ReadyForQuery:
			if failed != nil {
				return failed
			}
			return nil
		}
	}
}

// broken closes a connection whose state isn't known.
func broken(pg *pgconn.PgConn, err error) error {
	ctx, done := context.WithCancel(context.Background())
	done()
	_ = pg.Close(ctx)
	return err
}

// statementError is a server's error, with the index of the statement in the text that it is about.
type statementError struct {
	err   error
	index int
}

func (e *statementError) Error() string { return e.err.Error() }

func (e *statementError) Unwrap() error { return e.err }
