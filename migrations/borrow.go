package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// borrow lends conn to f as an *sql.DB of this one connection. golang-migrate's drivers close the *sql.DB that they are
// given, which here closes the loan and not the caller's pool, and all they do happens on the connection that holds the
// lock. exec sends a statement past that *sql.DB, while f has nothing else under way.
func borrow(conn *sql.Conn, terms terms, f func(db *sql.DB, exec func(query string) error) error) error {
	return conn.Raw(func(raw any) error {
		c, ok := raw.(driver.Conn)
		if !ok {
			return errors.New("the database driver's connection is no driver.Conn")
		}
		loan := &loan{Conn: c, terms: terms}
		db := sql.OpenDB(loan)
		db.SetMaxOpenConns(1)
		defer func() { _ = db.Close() }()
		return f(db, func(query string) error { return loan.exec(context.Background(), query) })
	})
}

// terms are what is different on a loan.
type terms struct {
	savepoint *Savepoint     // of the transaction that the connection is in: what one that is begun is; nil: one of its own
	lock      LockStatements // of the driver: Try is sent in place of Take, so that nothing waits in the server
	noLock    bool           // None is
}

// loan is both the connection on loan and the connector that hands it out. It has all the optional powers of a
// connection, and passes on those that the driver's own has.
type loan struct {
	driver.Conn
	terms
	lost bool
}

var errLost = errors.New("the connection to the database was lost")

// Connect hands the connection out; after the pool has thrown it away there is no other.
func (l *loan) Connect(context.Context) (driver.Conn, error) {
	if l.lost {
		return nil, errLost
	}
	return l, nil
}

func (l *loan) Driver() driver.Driver { return nil }

// Close doesn't: the connection is only on loan.
func (l *loan) Close() error {
	l.lost = true
	return nil
}

func (l *loan) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	query = l.patient(query)
	if c, ok := l.Conn.(driver.ConnPrepareContext); ok {
		return c.PrepareContext(ctx, query)
	}
	return l.Prepare(query)
}

func (l *loan) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if answer, done, err := l.execLock(ctx, query, args); done {
		return answer, err
	}
	if c, ok := l.Conn.(driver.ExecerContext); ok {
		return c.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

func (l *loan) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c, ok := l.Conn.(driver.QueryerContext); ok {
		return c.QueryContext(ctx, l.patient(query), args)
	}
	return nil, driver.ErrSkip
}

func (l *loan) CheckNamedValue(value *driver.NamedValue) error {
	if c, ok := l.Conn.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

func (l *loan) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if l.savepoint != nil {
		return inner{l}, l.savepoint.set(func(query string) error { return l.exec(ctx, query) }, innerName)
	}
	if c, ok := l.Conn.(driver.ConnBeginTx); ok {
		return c.BeginTx(ctx, options)
	}
	return l.Begin() // what database/sql does too, for a driver that has nothing newer
}

// exec runs a statement without parameters in whichever way the driver can.
func (l *loan) exec(ctx context.Context, query string) error {
	_, err := l.ExecContext(ctx, query, nil)
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

// inner is a transaction inside the one that the connection is in.
type inner struct{ loan *loan }

const innerName = "sqllock_tx"

func (i inner) exec(query string) error { return i.loan.exec(context.Background(), query) }

func (i inner) Commit() error { return i.loan.savepoint.release(i.exec, innerName) }

func (i inner) Rollback() error {
	if err := i.loan.savepoint.undo(i.exec, innerName); err != nil {
		return err
	}
	return i.Commit()
}
