package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// Dedicated is one connection outside of any pool. Unlike a *sql.Conn, which goes back to its pool
// with all that its session holds, it ends when it is closed.
type Dedicated struct {
	conn  *sql.Conn
	db    *sql.DB
	open  context.Context
	close context.CancelFunc

	// Calls hold gate for reading. If a *sql.Conn is closed after a call has checked it and before
	// the call's next step, that call panics (database/sql, grabConn).
	gate sync.RWMutex
}

// Dial opens a connection of the caller's own.
func Dial(ctx context.Context, connector driver.Connector) (*Dedicated, error) {
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(-1) // a returned connection is closed
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d := &Dedicated{conn: conn, db: db}
	d.open, d.close = context.WithCancel(context.WithoutCancel(ctx))
	return d, nil
}

// Within returns a context for a call that has to end with ctx or when the connection is closed.
func (d *Dedicated) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.open, cancel)
	return ctx, func() { stop(); cancel() }
}

// Exec runs a statement and returns how many rows it has changed.
func (d *Dedicated) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return dialect.SQL(d).Exec(ctx, query, args...)
}

// Query runs a statement that returns rows.
func (d *Dedicated) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	return dialect.SQL(d).Query(ctx, query, args...)
}

// QueryContext calls that of *sql.Conn.
func (d *Dedicated) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if !d.enter() {
		return nil, sql.ErrConnDone
	}
	defer d.gate.RUnlock()
	return d.conn.QueryContext(ctx, query, args...) //nolint:sqlclosecheck // the caller closes them
}

// ExecContext calls that of *sql.Conn.
func (d *Dedicated) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if !d.enter() {
		return nil, sql.ErrConnDone
	}
	defer d.gate.RUnlock()
	return d.conn.ExecContext(ctx, query, args...)
}

// Begin begins a transaction.
func (d *Dedicated) Begin(ctx context.Context) (Tx, error) {
	if !d.enter() {
		return nil, sql.ErrConnDone
	}
	defer d.gate.RUnlock()
	return begin(ctx, d.conn)
}

// Raw calls that of *sql.Conn. f must end when the connection is closed: see Within.
func (d *Dedicated) Raw(f func(driverConn any) error) error {
	if !d.enter() {
		return sql.ErrConnDone
	}
	defer d.gate.RUnlock()
	return d.conn.Raw(f)
}

// enter begins a call. It returns false if the connection is closed.
func (d *Dedicated) enter() bool {
	d.gate.RLock()
	if d.open.Err() != nil {
		d.gate.RUnlock()
		return false
	}
	return true
}

// Close ends the connection. Calls in progress end first, through Within. A second Close does
// nothing.
func (d *Dedicated) Close() error {
	d.close()
	d.gate.Lock()
	defer d.gate.Unlock()
	err := d.conn.Close()
	if errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	return errors.Join(err, d.db.Close())
}
