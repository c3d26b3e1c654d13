package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
)

// dialer knows how to open connections that aren't the pool's.
type dialer struct {
	given driver.Connector // by WithConnector

	mu      sync.Mutex
	learned driver.Connector // from the pool
}

// errNoConnector is what to do where the pool doesn't tell how it connects.
var errNoConnector = fmt.Errorf("%w: session locks and wake-ups need connections of their own, and this *sql.DB doesn't tell how to "+
	"make one, since its driver isn't pgx; pass postgres.WithConnector to postgres.New, or use lease locks",
	dialect.ErrUnsupported)

// connector is how to connect. The first time it takes a connection of the pool to look at, so it may have to wait for
// one, until ctx ends: Probe does that before it matters.
func (d *dialer) connector(ctx context.Context, db *sql.DB) (driver.Connector, error) {
	if d.given != nil {
		return d.given, nil
	}
	if db == nil {
		return nil, dialect.CheckDB(nil)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.learned != nil {
		return d.learned, nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("waiting for a connection of the *sql.DB, to see how it connects: %w", err)
	}
	defer func() { _ = conn.Close() }() // gives it back
	var config *pgx.ConnConfig
	err = conn.Raw(func(raw any) error {
		config = configOf(raw)
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case config == nil:
		return nil, errNoConnector
	}
	// No prepared statements: they would be the first thing to fail behind a pooler, and with words about something else.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.OnNotification = nil // in the config of a connection, pgx has written that one's own
	d.learned = stdlib.GetConnector(*config)
	return d.learned, nil
}

// configOf is how that connection was made; nil if it isn't pgx's.
func configOf(raw any) *pgx.ConnConfig {
	if conn := pgxOf(raw); conn != nil {
		return conn.Config()
	}
	return nil
}

// pgxOf is pgx's connection below that one of database/sql; nil if there is none. Wrappers of drivers, for tracing say,
// hand out what they wrap by a method Raw.
func pgxOf(raw any) *pgx.Conn {
	for {
		switch conn := raw.(type) {
		case *stdlib.Conn:
			return conn.Conn()
		case interface{ Raw() driver.Conn }:
			raw = conn.Raw()
		default:
			return nil
		}
	}
}

// learnWithin is how long Probe waits for a connection of a busy pool to look at.
const learnWithin = time.Second

// learn looks how the pool connects, if it can be seen now. Where it can't, OpenSession says so.
func (d *Dialect) learn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, learnWithin)
	defer cancel()
	_, _ = d.dialer.connector(ctx, d.db)
}
