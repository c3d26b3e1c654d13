package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// secondWithin bounds how long Probe waits for a second connection while it has one.
const secondWithin = 10 * time.Second

// pgxPool is the source for a *pgxpool.Pool.
type pgxPool struct {
	pool  *pgxpool.Pool // may be nil
	since time.Time     // when this pgxPool was made
	ended int64         // how many connections the pool had closed by then
}

func newPgxPool(pool *pgxpool.Pool) *pgxPool {
	p := &pgxPool{pool: pool, since: time.Now()}
	if pool != nil {
		p.ended = ended(pool.Stat())
	}
	return p
}

// ended returns how many connections the pool has closed for being too old, or idle for too long.
func ended(s *pgxpool.Stat) int64 { return s.MaxLifetimeDestroyCount() + s.MaxIdleDestroyCount() }

func (p *pgxPool) missing() bool { return p.pool == nil }
func (p *pgxPool) resends() bool { return false }

func (p *pgxPool) check() error {
	switch {
	case p.pool == nil:
		return fmt.Errorf("%w: the *pgxpool.Pool is nil", dialect.ErrInvalid)
	case p.pool.Stat().MaxConns() == 1:
		return fmt.Errorf("%w: MaxConns is 1: an open transaction would starve the heartbeat and lose every lock; "+
			"set at least 2 (pool_max_conns), or give sqllock a pool of its own", dialect.ErrInvalid)
	}
	return nil
}

// reconnect closes all connections, each when it is free: the pool can't be asked for the idle
// ones.
func (p *pgxPool) reconnect(context.Context) error {
	if p.pool != nil {
		p.pool.Reset()
	}
	return nil
}

// acquire waits for a free connection. The error says so if ctx ended while all connections were in
// use.
func (p *pgxPool) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if p.pool == nil {
		return nil, p.check()
	}
	conn, err := p.pool.Acquire(ctx)
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return conn, err
	}
	if s := p.pool.Stat(); s.AcquiredConns() >= s.MaxConns() {
		return nil, fmt.Errorf("%w: all %d of the *pgxpool.Pool are in use: let it have more (pool_max_conns), or "+
			"give sqllock a pool of its own: %w", dialect.ErrNoConnection, s.MaxConns(), err)
	}
	return nil, err
}

// Exec runs a statement and returns how many rows it has changed.
func (p *pgxPool) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	return pgxSession{conn}.Exec(ctx, query, args...)
}

// Query runs a statement that returns rows.
func (p *pgxPool) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return pgxQuery(ctx, conn, conn.Release, query, args)
}

// ReadRows runs a query and calls read with its rows.
func (p *pgxPool) ReadRows(ctx context.Context, read func(dialect.Rows) error, query string, args ...any) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return engine.ReadRows(ctx, pgxSession{conn.Conn()}, read, query, args...)
}

// Begin begins a transaction on a free connection.
func (p *pgxPool) Begin(ctx context.Context) (engine.Tx, error) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return pgxBegin(ctx, conn, conn.Release)
}

// Conn waits for a free connection.
func (p *pgxPool) Conn(ctx context.Context) (engine.Conn, error) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	return pgxLent{conn}, nil
}

// SecondConn is [pgxPool.Conn] with a bounded wait. The pool has at least two connections: see
// check.
func (p *pgxPool) SecondConn(ctx context.Context) (engine.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, secondWithin)
	defer cancel()
	return p.Conn(ctx)
}

// pgxLent is a connection of the pool. Close returns it to the pool.
type pgxLent struct{ conn *pgxpool.Conn }

func (c pgxLent) Begin(ctx context.Context) (engine.Tx, error) {
	return pgxBegin(ctx, c.conn, func() {})
}

func (c pgxLent) Close() error { c.conn.Release(); return nil }

func (p *pgxPool) lend(ctx context.Context, f func(s engine.Session, conn *pgx.Conn) error) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return fmt.Errorf("waiting for a connection of the *pgxpool.Pool, to see how it connects: %w", err)
	}
	defer conn.Release()
	return f(pgxSession{conn}, conn.Conn())
}

// dial connects as the pool does, with its hooks BeforeConnect and AfterConnect. It doesn't depend
// on what the pool's connections have done since they were opened.
func (p *pgxPool) dial(ctx context.Context, _ *pgx.ConnConfig) (dedicated, error) {
	if p.pool == nil {
		return nil, p.check()
	}
	pool := p.pool.Config()
	config := ownConfig(pool.ConnConfig)
	if pool.BeforeConnect != nil {
		if err := pool.BeforeConnect(ctx, config); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if pool.AfterConnect != nil {
		if err := pool.AfterConnect(ctx, conn); err != nil {
			return nil, errors.Join(err, conn.Close(ctx))
		}
	}
	return newPgxDedicated(ctx, conn), nil
}

// A pool churns if it has closed at least churnFrom connections, on average more than one in
// churnEvery.
const (
	churnFrom  = 50
	churnEvery = time.Second
)

func (p *pgxPool) finding(context.Context) dialect.Finding {
	s := p.pool.Stat()
	f := dialect.Finding{
		What: "pool", Verdict: dialect.VerdictGood,
		Found: fmt.Sprintf("%d connections of at most %d are open, %d of them in use",
			s.TotalConns(), s.MaxConns(), s.AcquiredConns()),
	}
	closed, took := ended(s)-p.ended, time.Since(p.since)
	switch {
	case s.AcquiredConns() >= s.MaxConns():
		f.Verdict = dialect.VerdictNotice
		f.Advice = "a heartbeat that finds no connection for a whole TTL loses its locks: let the pool have more " +
			"(pool_max_conns), or give sqllock a pool of its own"
	case closed >= churnFrom && took < time.Duration(closed)*churnEvery:
		f.Verdict = dialect.VerdictNotice
		f.Found += fmt.Sprintf("; %d connections were closed in %s for being too old or idle too long, and opened "+
			"anew for the next use", closed, took.Round(time.Millisecond))
		f.Advice = "connecting anew takes longer than most statements: let connections live longer " +
			"(pool_max_conn_lifetime, pool_max_conn_idle_time)"
	}
	return f
}
