package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// source is the application's pool, either of database/sql or of pgx. It hides everything in which
// the two differ. It doesn't know the dialect's statements or interpret their results.
type source interface {
	engine.Session // runs each statement on a free connection
	engine.RowReader
	engine.Conns

	// check returns an error if the pool can't serve locks because it is nil or too small.
	check() error

	// missing reports whether the pool is nil.
	missing() bool

	// lend calls f with a connection of the pool: as a Session, and as a *pgx.Conn, which is nil if
	// the driver isn't pgx.
	lend(ctx context.Context, f func(s engine.Session, conn *pgx.Conn) error) error

	// dial opens a connection outside the pool. like is the configuration of one of the pool's
	// connections, or nil if it isn't known.
	dial(ctx context.Context, like *pgx.ConnConfig) (dedicated, error)

	// resends reports whether the driver may have sent a statement before without reporting it.
	resends() bool

	// reconnect closes the pool's idle connections to servers that take no writes.
	reconnect(ctx context.Context) error

	// finding returns Check's finding about the pool.
	finding(ctx context.Context) dialect.Finding
}

// dedicated is a connection outside the pool, with one user, which is closed at its end. Except for
// Close, its methods are not safe for concurrent use.
type dedicated interface {
	engine.Session
	Begin(ctx context.Context) (engine.Tx, error)

	// Within returns a context for a call that has to end when ctx ends or the connection is
	// closed.
	Within(ctx context.Context) (context.Context, context.CancelFunc)

	// lend calls f with pgx's connection, or nil if the driver isn't pgx. f must return when the
	// connection is closed: see Within.
	lend(f func(conn *pgx.Conn) error) error

	Close() error
}

// pool runs statements on the application's pool, in the way that suits the server or pooler that
// its connections lead to.
//
// pgx prepares each statement at its first use on a connection, and from then on executes it by
// name. Behind a pooler in transaction mode, each transaction may run in another server process.
// There the name isn't known yet, or is in use already: "prepared statement … already exists". Some
// poolers keep track of prepared statements (PgBouncer from 1.21 on, with max_prepared_statements),
// most don't, and none reports whether it does. So if anything stands between, statements are sent
// unprepared. That works through all poolers and costs the server the planning of each statement.
type pool struct {
	source source
	seen   atomic.Pointer[backend] // nil until a connection has been inspected
}

// backend describes what the pool's connections lead to.
type backend struct {
	config     *pgx.ConnConfig // of the inspected connection; nil if the driver isn't pgx
	unprepared bool            // statements must be sent unprepared: see pool
}

// Exec runs a statement and returns how many rows it has changed.
func (p *pool) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	b, err := p.learned(ctx)
	if err != nil {
		return 0, err
	}
	n, err := p.source.Exec(ctx, query, b.args(args)...)
	p.note(err)
	return n, err
}

// Query runs a statement that returns rows.
func (p *pool) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	b, err := p.learned(ctx)
	if err != nil {
		return nil, err
	}
	return p.noteRows(p.source.Query(ctx, query, b.args(args)...))
}

// ReadRows runs a query and calls read with its rows.
func (p *pool) ReadRows(ctx context.Context, read func(dialect.Rows) error, query string, args ...any) error {
	b, err := p.learned(ctx)
	if err != nil {
		return err
	}
	err = p.source.ReadRows(ctx, read, query, b.args(args)...)
	p.note(err)
	return err
}

// noteRows calls note for the error of a query, including an error that comes after its rows.
func (p *pool) noteRows(rows dialect.Rows, err error) (dialect.Rows, error) {
	p.note(err)
	if err != nil {
		return nil, err
	}
	return notedRows{rows, p}, nil
}

type notedRows struct {
	dialect.Rows
	pool *pool
}

// Err returns the error of the rows.
func (r notedRows) Err() error {
	err := r.Rows.Err()
	r.pool.note(err)
	return err
}

// dial opens a connection outside the pool.
func (p *pool) dial(ctx context.Context) (dedicated, error) {
	var like *pgx.ConnConfig
	if b := p.seen.Load(); b != nil {
		like = b.config
	}
	return p.source.dial(ctx, like)
}

// learned returns what the pool's connections lead to. It inspects one the first time.
func (p *pool) learned(ctx context.Context) (*backend, error) {
	if b := p.seen.Load(); b != nil {
		return b, nil
	}
	return p.inspect(ctx)
}

// args returns the arguments for the driver. If statements must be sent unprepared, the query mode
// that does so comes before them.
func (b *backend) args(args []any) []any {
	if b == nil || !b.unprepared {
		return args
	}
	return append([]any{pgx.QueryExecModeExec}, args...)
}

// sending runs statements in a transaction or on a connection, in the query mode that the pool's
// connections need.
type sending struct {
	s    engine.Session
	pool *pool
}

// in returns a session for the dialect's statements in tx. If no connection has been inspected yet
// and none becomes free within learnWithin, the driver's own query mode is used.
func (p *pool) in(ctx context.Context, tx engine.Session) sending {
	if p.seen.Load() == nil && !p.source.missing() {
		ctx, cancel := context.WithTimeout(ctx, learnWithin)
		defer cancel()
		_, _ = p.inspect(ctx)
	}
	return sending{tx, p}
}

// learnWithin bounds how long a statement in a transaction waits for a connection of a busy pool to
// inspect.
const learnWithin = time.Second

// Exec runs a statement in the transaction or on the connection.
func (t sending) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	n, err := t.s.Exec(ctx, query, t.pool.seen.Load().args(args)...)
	t.pool.note(err)
	return n, err
}

// Query runs a query in the transaction or on the connection.
func (t sending) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	return t.pool.noteRows(t.s.Query(ctx, query, t.pool.seen.Load().args(args)...))
}

// note switches to unprepared statements if err says that a prepared statement was lost.
func (p *pool) note(err error) {
	if err == nil || !isUnprepared(err) {
		return
	}
	if b := p.seen.Load(); b != nil && b.config != nil && !b.unprepared {
		p.seen.CompareAndSwap(b, &backend{config: b.config, unprepared: true})
	}
}

// isUnprepared reports whether err comes from a pooler that switches servers between statements:
// the server has no such prepared statement, or has one of that name already. Nothing was executed.
func isUnprepared(err error) bool {
	var withState interface{ SQLState() string }
	return errors.As(err, &withState) && (withState.SQLState() == "26000" || withState.SQLState() == "42P05")
}

// inspect takes a connection of the pool and finds out its configuration and what it leads to. It
// may have to wait for the connection, until ctx ends. If the connection turns out to be broken,
// inspect tries the next one, three in all.
func (p *pool) inspect(ctx context.Context) (*backend, error) {
	if p.source.missing() {
		return nil, p.source.check()
	}
	for tries := 3; ; tries-- {
		found, err := p.inspectOnce(ctx)
		if err == nil {
			p.seen.Store(found)
			return found, nil
		}
		if tries == 1 || !errors.Is(err, driver.ErrBadConn) || ctx.Err() != nil {
			return nil, engine.WithCause(ctx, err)
		}
	}
}

func (p *pool) inspectOnce(ctx context.Context) (*backend, error) {
	found := &backend{}
	err := p.source.lend(ctx, func(s engine.Session, inner *pgx.Conn) error {
		if inner == nil {
			return nil
		}
		var err error
		found.config = inner.Config()
		found.unprepared, err = mustSendUnprepared(ctx, inner)
		switch {
		case err == nil && found.unprepared:
			return tryUnprepared(ctx, s)
		case err != nil && inner.IsClosed():
			err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
		}
		return err
	})
	return found, err
}

// mustSendUnprepared reports whether statements must be sent unprepared because something, such as
// a pooler, stands between. A pooler reports another process id at connection start than that of
// the server process behind it. This holds for every pooler that shares server processes among its
// clients, because a client cancels its statement by that id.
func mustSendUnprepared(ctx context.Context, conn *pgx.Conn) (bool, error) {
	switch conn.Config().DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec:
	default: // these modes keep nothing in the server between round trips
		return false, nil
	}
	results, err := conn.PgConn().Exec(ctx, "SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		return false, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 1 {
		return false, errors.New("the server didn't say which of its processes replied")
	}
	return string(results[0].Rows[0][0]) != strconv.FormatUint(uint64(conn.PgConn().PID()), 10), nil
}

// tryUnprepared makes sure that the query mode reaches pgx. A driver around pgx may take it for a
// parameter.
func tryUnprepared(ctx context.Context, s engine.Session) error {
	const word = "sqllock"
	b := &backend{unprepared: true}
	echo, err := query(ctx, s, engine.One[string], "SELECT $1::text", b.args([]any{word})...)
	switch {
	case err == nil && len(echo) == 1 && echo[0] == word:
		return nil
	case ctx.Err() != nil, errors.Is(err, driver.ErrBadConn):
		return err
	}
	return unpreparable(err)
}

// unpreparable returns the error for a driver that can't send statements unprepared.
func unpreparable(cause error) error {
	const text = "a pooler stands between this pool and PostgreSQL, and the pool's driver prepares statements, " +
		"which get lost there: set default_query_exec_mode=exec in the URL (pgx; or " +
		"ConnConfig.DefaultQueryExecMode), or binary_parameters=yes (lib/pq)"
	if cause == nil {
		return fmt.Errorf("%w: %s", dialect.ErrUnsupported, text)
	}
	return fmt.Errorf("%w: %s: %w", dialect.ErrUnsupported, text, cause)
}
