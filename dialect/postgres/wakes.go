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
	"github.com/sqllock/sqllock/internal/engine"
)

const (
	quiet       = 15 * time.Second       // after this long without a message the connection is asked whether it is there
	pingWithin  = 5 * time.Second        // a server that answers later counts as gone
	proveWithin = 5 * time.Second        // a message that was sent must be heard in this time
	proveSoon   = 500 * time.Millisecond // and mostly is in much less
)

// wakes is a connection that listens on a channel of its own.
type wakes struct {
	conn    *engine.Dedicated
	channel string
}

// Channel is the name that a release notifies.
func (w *wakes) Channel() string { return w.channel }

// Next waits for a hand-over. After a quarter of a minute without one it asks whether the server is still there, so that
// a connection which was cut off in silence is an error soon.
func (w *wakes) Next(ctx context.Context) (dialect.Handover, error) {
	inner, cancel := w.conn.Within(ctx)
	defer cancel()
	var h dialect.Handover
	err := w.conn.Raw(func(raw any) error {
		payload, err := hear(inner, pgxOf(raw))
		if err == nil {
			h, err = handover(payload)
		}
		return err
	})
	if err != nil && ctx.Err() == nil && inner.Err() != nil {
		err = fmt.Errorf("%w: the connection was closed meanwhile", sql.ErrConnDone)
	}
	return h, fail("wait for a hand-over", withCause(ctx, err))
}

// Close ends the connection, and a Next that is under way.
func (w *wakes) Close() error { return fail("close wakes", w.conn.Close()) }

// hear waits for the next message. A time-out of the reading leaves pgx's connection as it was.
func hear(ctx context.Context, conn *pgx.Conn) (string, error) {
	for {
		message, err := hearWithin(ctx, conn, quiet)
		switch {
		case message != nil:
			return message.Payload, nil
		case err == nil:
			return "", errors.New("a message went to an OnNotification of the application's")
		case ctx.Err() != nil, !errors.Is(err, context.DeadlineExceeded):
			return "", err
		}
		if err := ping(ctx, conn); err != nil {
			return "", err
		}
	}
}

func hearWithin(ctx context.Context, conn *pgx.Conn, d time.Duration) (*pgconn.Notification, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return conn.WaitForNotification(ctx)
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	return conn.Ping(ctx)
}

// handover reads what hand_over.sql sends: the fence, a space, and the owner.
func handover(payload string) (dialect.Handover, error) {
	number, owner, _ := strings.Cut(payload, " ")
	fence, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return dialect.Handover{}, fmt.Errorf("a message that no release has sent: %w", err)
	}
	return dialect.Handover{Owner: owner, Fence: fence}, nil
}
