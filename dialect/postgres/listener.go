package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

const (
	quiet       = 15 * time.Second       // Next pings the server after this long without a message
	pingWithin  = 5 * time.Second        // a server that takes longer to reply counts as gone
	proveWithin = 5 * time.Second        // prove's message must arrive within this time
	proveSoon   = 500 * time.Millisecond // and usually arrives within this one
)

// listener is a connection that listens on a channel of its own.
type listener struct {
	conn    dedicated
	channel string
}

// Channel returns the name of the channel that a release notifies.
func (w *listener) Channel() string { return w.channel }

// Next waits for a hand-over. After 15 seconds without one it pings the server, so that a
// connection that was cut silently soon ends in an error.
func (w *listener) Next(ctx context.Context) (dialect.Handover, error) {
	inner, cancel := w.conn.Within(ctx)
	defer cancel()
	var h dialect.Handover
	err := w.conn.lend(func(conn *pgx.Conn) error {
		payload, err := notified(inner, conn)
		if err == nil {
			h, err = handover(payload)
		}
		return err
	})
	if err != nil && ctx.Err() == nil && inner.Err() != nil {
		err = fmt.Errorf("%w: the connection was closed meanwhile", sql.ErrConnDone)
	}
	return h, fail("wait for a hand-over", engine.WithCause(ctx, err))
}

// Close closes the connection and ends a Next that is waiting.
func (w *listener) Close() error { return fail("close listener", w.conn.Close()) }

// notified waits for the next message. A read that times out leaves pgx's connection usable.
func notified(ctx context.Context, conn *pgx.Conn) (string, error) {
	for {
		message, err := notifiedWithin(ctx, conn, quiet)
		switch {
		case message != nil:
			return message.Payload, nil
		case err == nil:
			return "", errors.New("a message went to the application's own OnNotification")
		case ctx.Err() != nil, !errors.Is(err, context.DeadlineExceeded):
			return "", err
		}
		if err := ping(ctx, conn); err != nil {
			return "", err
		}
	}
}

func notifiedWithin(ctx context.Context, conn *pgx.Conn, d time.Duration) (*pgconn.Notification, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return conn.WaitForNotification(ctx)
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	return conn.Ping(ctx)
}

// handover parses what hand_over.sql sends: the fence, a space, and the owner.
func handover(payload string) (dialect.Handover, error) {
	number, owner, _ := strings.Cut(payload, " ")
	fence, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return dialect.Handover{}, fmt.Errorf("received a message that no release has sent: %w", err)
	}
	return dialect.Handover{Owner: owner, Fence: fence}, nil
}
