package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// withConn calls f with an *sql.DB that consists of conn alone. golang-migrate's drivers close the
// *sql.DB that they are given. Closing this one closes neither conn nor the caller's pool, and
// everything a driver does happens on the connection that holds the lock.
func withConn(conn *sql.Conn, config sharedConfig, f func(db *sql.DB, sharedConn *sharedConn) error) error {
	return conn.Raw(func(raw any) error {
		c, ok := raw.(driver.Conn)
		if !ok {
			return errors.New("the database driver's connection is not a driver.Conn")
		}
		sharedConn := &sharedConn{Conn: c, sharedConfig: config}
		db := sharedConn.pool()
		defer func() { _ = db.Close() }()
		return f(db, sharedConn)
	})
}

// sharedConfig configures a sharedConn.
type sharedConfig struct {
	engine *Engine
	own    bool            // whether sqllock's own tables are migrated
	until  context.Context // ends when the current statement must be canceled
	lock   LockStatements  // the driver's own; Try is sent in place of Take, so that nothing waits in the server
	noLock bool            // None is sent in place of Take
	within bool            // the connection is in a transaction, and inner transactions are savepoints
	beside *sql.DB         // opens other connections to the same database; may be nil
}

// sharedConn is the shared connection, and also the connector that returns it. It implements all
// optional interfaces of a driver.Conn and forwards to those that the driver's own connection
// implements.
type sharedConn struct {
	driver.Conn
	sharedConfig
	lost bool
	id   int64 // the server's number of the session; 0 if unknown
}

var errLost = errors.New("the connection to the database was lost")

// pool returns an *sql.DB of this one connection. A caller that opens several must use one at a
// time.
func (l *sharedConn) pool() *sql.DB {
	db := sql.OpenDB(l)
	db.SetMaxOpenConns(1)
	return db
}

// Connect returns the connection. After the pool has closed it Connect returns an error.
func (l *sharedConn) Connect(context.Context) (driver.Conn, error) {
	if l.lost {
		return nil, errLost
	}
	return l, nil
}

func (l *sharedConn) Driver() driver.Driver { return nil }

// Close does not close the connection, which belongs to the caller of withConn.
func (l *sharedConn) Close() error {
	l.lost = true
	return nil
}

func (l *sharedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	query = l.nonBlocking(query)
	if c, ok := l.Conn.(driver.ConnPrepareContext); ok {
		return c.PrepareContext(l.orUntil(ctx), query)
	}
	return l.Prepare(query)
}

func (l *sharedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx, done := l.bound(ctx)
	defer done()
	if result, done, err := l.execLock(ctx, query, args); done {
		return result, err
	}
	return l.send(ctx, query, args)
}

// send executes a statement. It sends nothing once ctx has ended.
func (l *sharedConn) send(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	if len(args) == 0 && l.engine.Exec != nil {
		if err := l.engine.Exec(ctx, l.Conn, query); !errors.Is(err, driver.ErrSkip) {
			return driver.ResultNoRows, err
		}
	}
	if c, ok := l.Conn.(driver.ExecerContext); ok {
		return l.cancelable(ctx, query, func(ctx context.Context) (driver.Result, error) {
			return c.ExecContext(ctx, query, args)
		})
	}
	return nil, driver.ErrSkip
}

func (l *sharedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c, ok := l.Conn.(driver.QueryerContext); ok {
		return c.QueryContext(l.orUntil(ctx), l.nonBlocking(query), args)
	}
	return nil, driver.ErrSkip
}

// bound returns a ctx that also ends when l.until does. If ctx never ends, it returns l.until.
func (l *sharedConn) bound(ctx context.Context) (_ context.Context, done func()) {
	if ctx.Done() == nil {
		return l.until, func() {}
	}
	bounded, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.until, func() { cancel(context.Cause(l.until)) })
	return bounded, func() {
		stop()
		cancel(nil)
	}
}

// orUntil returns l.until if ctx never ends, since golang-migrate's drivers pass no context of
// their own.
func (l *sharedConn) orUntil(ctx context.Context) context.Context {
	if ctx.Done() == nil {
		return l.until
	}
	return ctx
}

func (l *sharedConn) CheckNamedValue(value *driver.NamedValue) error {
	if c, ok := l.Conn.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

func (l *sharedConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if l.within {
		return inner{l}, l.savepoint().set(func(query string) error { return l.exec(l.orUntil(ctx), query) }, innerName)
	}
	if c, ok := l.Conn.(driver.ConnBeginTx); ok {
		return c.BeginTx(l.orUntil(ctx), options)
	}
	return l.Begin() // like database/sql for a driver without BeginTx
}

func (l *sharedConn) savepoint() *Savepoint { return l.engine.savepoint() }

// exec executes a statement without parameters, with ExecContext if the driver has it and otherwise
// with a prepared statement.
func (l *sharedConn) exec(ctx context.Context, query string) error {
	_, err := l.send(ctx, query, nil)
	if !errors.Is(err, driver.ErrSkip) {
		return err
	}
	stmt, err := l.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }()
	_, err = stmt.Exec(nil) //nolint:staticcheck // the only method that every driver has
	return err
}

// inner is a transaction inside the connection's own transaction.
type inner struct{ sharedConn *sharedConn }

const innerName = "sqllock_tx"

func (i inner) exec(query string) error { return i.sharedConn.exec(i.sharedConn.until, query) }

func (i inner) Commit() error { return i.sharedConn.savepoint().release(i.exec, innerName) }

func (i inner) Rollback() error {
	if err := i.sharedConn.savepoint().undo(i.exec, innerName); err != nil {
		return err
	}
	return i.Commit()
}
