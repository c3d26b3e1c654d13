package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
)

// Dedicated is one connection outside any pool. Unlike a *sql.Conn, which goes back to its pool with what its session
// holds, it ends when it is closed.
type Dedicated struct {
	conn  *sql.Conn
	db    *sql.DB
	open  context.Context
	close context.CancelFunc

	// Held for reading by calls: a *sql.Conn that is closed between a call's look whether it is, and its next step, makes
	// that call panic (database/sql, grabConn).
	gate sync.RWMutex
}

// Dial opens a connection that nobody else has.
func Dial(ctx context.Context, connector driver.Connector) (*Dedicated, error) {
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(-1) // what is given back is closed
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d := &Dedicated{conn: conn, db: db}
	d.open, d.close = context.WithCancel(context.WithoutCancel(ctx))
	return d, nil
}

// Within is the context for a call that has to end with ctx, or when the connection is closed.
func (d *Dedicated) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.open, cancel)
	return ctx, func() { stop(); cancel() }
}

// QueryContext is that of a *sql.Conn.
func (d *Dedicated) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if !d.enter() {
		return nil, sql.ErrConnDone
	}
	defer d.gate.RUnlock()
	return d.conn.QueryContext(ctx, query, args...) //nolint:sqlclosecheck // they are the caller's
}

// ExecContext is that of a *sql.Conn.
func (d *Dedicated) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if !d.enter() {
		return nil, sql.ErrConnDone
	}
	defer d.gate.RUnlock()
	return d.conn.ExecContext(ctx, query, args...)
}

// BeginTx is that of a *sql.Conn.
func (d *Dedicated) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if !d.enter() {
		return nil, sql.ErrConnDone
	}
	defer d.gate.RUnlock()
	return d.conn.BeginTx(ctx, opts)
}

// Raw is that of a *sql.Conn. f must end when the connection is closed: see Within.
func (d *Dedicated) Raw(f func(driverConn any) error) error {
	if !d.enter() {
		return sql.ErrConnDone
	}
	defer d.gate.RUnlock()
	return d.conn.Raw(f)
}

// enter is for a call. False: the connection is closed.
func (d *Dedicated) enter() bool {
	d.gate.RLock()
	if d.open.Err() != nil {
		d.gate.RUnlock()
		return false
	}
	return true
}

// Close ends the connection. Calls that are under way Within it end first. A second Close does nothing.
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
