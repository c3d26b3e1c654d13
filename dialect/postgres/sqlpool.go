package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// sqlPool is the source for an *sql.DB of any driver that speaks PostgreSQL.
type sqlPool struct {
	engine.Conns

	db    *sql.DB // may be nil
	churn engine.Churn
	isPgx atomic.Bool // an inspected connection was pgx's
	bare  atomic.Bool // and nothing wraps it, for tracing for example

	given driver.Connector // set by WithConnector; may be nil

	mu      sync.Mutex
	learned driver.Connector // made from the configuration of one of db's connections
}

func newSQLPool(db *sql.DB) *sqlPool {
	return &sqlPool{Conns: engine.SQLConns(db), db: db, churn: engine.NewChurn(db)}
}

func (p *sqlPool) check() error  { return dialect.CheckDB(p.db) }
func (p *sqlPool) missing() bool { return p.db == nil }

// Exec runs a statement and returns how many rows it has changed.
func (p *sqlPool) Exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	alive := ctx.Err() == nil
	if p.bare.Load() {
		err = p.onPgx(ctx, func(s pgxSession) error { n, err = s.Exec(ctx, query, args...); return err })
	} else {
		n, err = dialect.SQL(p.db).Exec(ctx, query, args...)
	}
	return n, p.exhausted(alive, err)
}

// Query runs a statement that returns rows.
func (p *sqlPool) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	alive := ctx.Err() == nil
	rows, err := dialect.SQL(p.db).Query(ctx, query, args...)
	return rows, p.exhausted(alive, err)
}

// ReadRows runs a query and calls read with its rows.
func (p *sqlPool) ReadRows(ctx context.Context, read func(dialect.Rows) error, query string, args ...any) error {
	alive := ctx.Err() == nil
	if !p.bare.Load() {
		return p.exhausted(alive, engine.ReadRows(ctx, dialect.SQL(p.db), read, query, args...))
	}
	return p.exhausted(alive, p.onPgx(ctx, func(s pgxSession) error {
		return engine.ReadRows(ctx, s, read, query, args...)
	}))
}

// onPgx runs f with a connection of the pool, whose driver is pgx. database/sql would convert
// arguments and results, and start a goroutine for each query. Like database/sql, onPgx tries
// another connection if it turns out that one was closed before anything was sent.
func (p *sqlPool) onPgx(ctx context.Context, f func(pgxSession) error) error {
	for tries := 3; ; tries-- {
		conn, err := p.db.Conn(ctx)
		if err != nil {
			return err
		}
		err = conn.Raw(func(raw any) error {
			inner, ok := raw.(*stdlib.Conn)
			if !ok {
				return fmt.Errorf("%w: a connection of the *sql.DB is a %T, and the one before was pgx's",
					dialect.ErrUnsupported, raw)
			}
			err := f(pgxSession{inner.Conn()})
			if err != nil && inner.Conn().IsClosed() && pgconn.SafeToRetry(err) {
				return fmt.Errorf("%w: %w", driver.ErrBadConn, err) // database/sql drops the connection
			}
			return err
		})
		_ = conn.Close() // it only returns the connection to the pool
		if tries == 1 || !errors.Is(err, driver.ErrBadConn) {
			return err
		}
	}
}

// exhausted adds ErrNoConnection to the error of a ctx that ended while no connection was free,
// either in database/sql's pool or in a pool below it, in which pgx's connector has waited. alive
// reports whether ctx was still valid before the call.
func (p *sqlPool) exhausted(alive bool, err error) error {
	if err == nil {
		return nil
	}
	// A statement that was sent, and a connection attempt that was running, fail with an error of
	// pgconn. The bare error means that neither had begun.
	if err == context.DeadlineExceeded && alive && p.isPgx.Load() { //nolint:errorlint // only the bare error counts
		if named := engine.Exhausted(p.db, err); errors.Is(named, dialect.ErrNoConnection) {
			return named
		}
		return fmt.Errorf("%w: the pool behind the *sql.DB had none: let it have more (pgxpool: pool_max_conns), "+
			"or give sqllock a pool of its own: %w", dialect.ErrNoConnection, err)
	}
	return engine.Exhausted(p.db, err)
}

func (p *sqlPool) lend(ctx context.Context, f func(s engine.Session, conn *pgx.Conn) error) error {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("waiting for a connection of the *sql.DB, to see how it connects: %w",
			engine.Exhausted(p.db, err))
	}
	defer conn.Close() //nolint:errcheck // it only returns the connection to the pool
	var inner *pgx.Conn
	if err = conn.Raw(func(raw any) error {
		inner = pgxOf(raw)
		_, bare := raw.(*stdlib.Conn)
		p.isPgx.Store(inner != nil)
		p.bare.Store(bare)
		return nil
	}); err != nil {
		return err
	}
	return f(dialect.SQL(conn), inner)
}

// dial connects as WithConnector says, or as a connection of the pool did. The first call may have
// to wait for a connection to inspect, until ctx ends. Probe makes that call before the wait
// matters.
func (p *sqlPool) dial(ctx context.Context, like *pgx.ConnConfig) (dedicated, error) {
	connector, err := p.connector(ctx, like)
	if err != nil {
		return nil, err
	}
	conn, err := engine.Dial(ctx, connector)
	if err != nil {
		return nil, err
	}
	return sqlDedicated{conn}, nil
}

// errNoConnector reports an *sql.DB whose connections don't reveal how they were made.
var errNoConnector = fmt.Errorf("%w: session locks and wake-ups need connections of their own, and this *sql.DB "+
	"doesn't reveal how to make one, since its driver isn't pgx; pass postgres.WithConnector to postgres.New, "+
	"or use lease locks", dialect.ErrUnsupported)

func (p *sqlPool) connector(ctx context.Context, like *pgx.ConnConfig) (driver.Connector, error) {
	if p.given != nil {
		return p.given, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.learned != nil {
		return p.learned, nil
	}
	if like == nil {
		if p.db == nil {
			return nil, p.check()
		}
		err := p.lend(ctx, func(_ engine.Session, conn *pgx.Conn) error {
			if conn != nil {
				like = conn.Config()
			}
			return nil
		})
		if err != nil {
			return nil, engine.WithCause(ctx, err)
		}
	}
	if like == nil {
		return nil, errNoConnector
	}
	p.learned = stdlib.GetConnector(*ownConfig(like))
	return p.learned, nil
}

// ownConfig returns the configuration for a connection outside the pool.
func ownConfig(like *pgx.ConnConfig) *pgx.ConnConfig {
	config := like.Copy()
	// Prepared statements would be the first thing to fail behind a pooler, with a misleading
	// error.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.OnNotification = nil // pgx has set the handler of the connection that like came from
	return config
}

// pgxOf returns pgx's connection below a connection of database/sql, or nil if there is none.
// Wrappers of drivers, for tracing for example, expose the connection they wrap by a method Raw.
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

// resends reports whether database/sql may repeat a statement that was already sent. It repeats a
// statement after driver.ErrBadConn, which pgx returns only for what it hasn't sent. lib/pq also
// returns it if the connection ends before the reply, which may be after the commit. A refusal of
// the second attempt then says nothing about the first.
func (p *sqlPool) resends() bool {
	if p.db == nil {
		return false
	}
	_, isPgx := p.db.Driver().(*stdlib.Driver)
	return !isPgx
}

func (p *sqlPool) reconnect(ctx context.Context) error {
	return engine.Reconnect(ctx, p.db, sqlReadOnly, func(raw any) {
		if inner := pgxOf(raw); inner != nil { // it may belong to a pool below
			_ = inner.Close(ctx)
		}
	})
}

func (p *sqlPool) finding(ctx context.Context) dialect.Finding { return p.churn.Finding(p.below(ctx)) }

// below reports whether a connection that database/sql closes stays open and goes back to another
// pool below, as with pgxpool.
func (p *sqlPool) below(ctx context.Context) bool {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return false
	}
	var inner *pgx.Conn
	_ = conn.Raw(func(raw any) error { inner = pgxOf(raw); return nil })
	before := p.db.Stats().MaxIdleClosed
	_ = conn.Close()
	return inner != nil && p.db.Stats().MaxIdleClosed > before && !inner.IsClosed()
}

// sqlDedicated is a dedicated connection of database/sql.
type sqlDedicated struct{ *engine.Dedicated }

func (d sqlDedicated) lend(f func(conn *pgx.Conn) error) error {
	return d.Raw(func(raw any) error { return f(pgxOf(raw)) })
}
