package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// secondWithin is how long SecondConn waits for a second connection.
const secondWithin = 10 * time.Second

// SecondConn returns a connection for a caller that already has one of the pool's. If it gets none,
// the pool is too small: dialect.CheckDB finds a limit of database/sql's own, but below it may be a
// pool of the driver's. A pool whose connections are all in use is busy, which is another error.
func SecondConn(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	within, cancel := context.WithTimeout(ctx, secondWithin)
	defer cancel()
	conn, err := db.Conn(within)
	if err == nil || ctx.Err() != nil || within.Err() == nil || full(db.Stats()) {
		return conn, Exhausted(db, err)
	}
	return nil, fmt.Errorf("%w: while one connection of the *sql.DB was in use, it gave no second one within %s: an "+
		"open transaction would starve the heartbeat and lose every lock; let the pool behind it have at least 2 "+
		"(pgxpool: pool_max_conns), or give sqllock an *sql.DB of its own", dialect.ErrInvalid, secondWithin)
}

// full reports whether all connections that the *sql.DB may have are in use.
func full(s sql.DBStats) bool { return s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections }

// Exhausted adds to the error of a call that ended with its ctx that no connection was free, if so.
// The pool is at fault then, and not the server.
func Exhausted(db *sql.DB, err error) error {
	if db == nil || err == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) ||
		errors.Is(err, dialect.ErrNoConnection) {
		return err
	}
	if s := db.Stats(); full(s) {
		return fmt.Errorf("%w: all %d of the *sql.DB are in use: let it have more (SetMaxOpenConns), or give sqllock "+
			"an *sql.DB of its own: %w", dialect.ErrNoConnection, s.MaxOpenConnections, err)
	}
	return err
}

// Pool returns a Session that runs on a *sql.DB. If a call ends with its ctx because no connection
// was free, the error says so.
func Pool(db *sql.DB) Session { return dialect.SQL(pool{db}) }

type pool struct{ *sql.DB }

// ExecContext calls that of sql.DB.
func (p pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := p.DB.ExecContext(ctx, query, args...)
	return result, Exhausted(p.DB, err)
}

// QueryContext calls that of sql.DB.
func (p pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := p.DB.QueryContext(ctx, query, args...)
	return rows, Exhausted(p.DB, err)
}

// Churn counts how many of a pool's connections are closed only to be opened again, since it was
// made.
type Churn struct {
	db     *sql.DB
	since  time.Time
	closed int64 // when the Churn was made
}

// NewChurn starts counting on db, which may be nil.
func NewChurn(db *sql.DB) Churn {
	c := Churn{db: db, since: time.Now()}
	if db != nil {
		c.closed = db.Stats().MaxIdleClosed
	}
	return c
}

// A pool churns if it closes more connections than churnFrom, and more often than churnEvery. Fewer
// come from a burst.
const (
	churnFrom  = 50
	churnEvery = time.Second
)

// Finding returns Check's finding about the pool. below means that database/sql's connections come
// from another pool, the driver's, and go back to it when database/sql closes them.
func (c Churn) Finding(below bool) dialect.Finding {
	s := c.db.Stats()
	most := "any number of"
	if s.MaxOpenConnections > 0 {
		most = fmt.Sprintf("at most %d", s.MaxOpenConnections)
	}
	f := dialect.Finding{
		What: "pool", Verdict: dialect.VerdictGood,
		Found: fmt.Sprintf("%d connections of %s are open, %d of them in use",
			s.OpenConnections, most, s.InUse),
	}
	closed, took := s.MaxIdleClosed-c.closed, time.Since(c.since)
	switch {
	case full(s):
		f.Verdict = dialect.VerdictNotice
		f.Advice = "a heartbeat that finds no connection for a whole TTL loses its locks: let the pool have more " +
			"(SetMaxOpenConns), or give sqllock an *sql.DB of its own"
	case !below && closed >= churnFrom && took < time.Duration(closed)*churnEvery:
		f.Verdict = dialect.VerdictNotice
		f.Found += fmt.Sprintf("; %d connections were closed in %s for being one too many at rest, and opened again "+
			"for the next use",
			closed, took.Round(time.Millisecond))
		f.Advice = "opening a connection takes longer than most statements: keep as many open as are used at once " +
			"(SetMaxIdleConns; it is 2 by default), or let the pool have fewer (SetMaxOpenConns)"
	}
	return f
}
