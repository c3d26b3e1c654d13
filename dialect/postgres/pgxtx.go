package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// PgxTx is a pgx transaction in the form that sqllock's methods accept: see [Tx].
type PgxTx struct{ pgxSession }

var _ dialect.Tx = (*PgxTx)(nil)

// Tx wraps a pgx transaction, such as a *pgxpool.Tx, for Guard, AcquireTx and once.DoTx of package
// sqllock. It works with a Client on either [NewPool] or [New], if the transaction is in the
// database of the locks. For a nil transaction Tx returns nil, which those methods refuse.
func Tx(tx pgx.Tx) *PgxTx {
	if v := reflect.ValueOf(tx); tx == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	return &PgxTx{pgxSession{tx}}
}

// ExecContext is Exec, with the result in the form of database/sql.
func (t *PgxTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	n, err := t.Exec(ctx, query, args...)
	return driver.RowsAffected(n), err
}

// pgxQuerier has the methods that pgx's connections and transactions share.
type pgxQuerier interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// pgxSession runs statements on pgx.
type pgxSession struct{ on pgxQuerier }

// Exec runs a statement and returns how many rows it has changed.
func (s pgxSession) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := s.on.Exec(ctx, query, args...)
	return tag.RowsAffected(), known(err)
}

// Query runs a statement that returns rows.
func (s pgxSession) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	return pgxQuery(ctx, s.on, func() {}, query, args)
}

// pgxQuery runs a query and calls done afterwards: at once if it fails, otherwise when the rows are
// closed.
func pgxQuery(ctx context.Context, on pgxQuerier, done func(), query string, args []any) (dialect.Rows, error) {
	rows, err := on.Query(ctx, query, args...)
	if err != nil {
		done()
		return nil, known(err)
	}
	return &pgxRows{Rows: rows, done: sync.OnceFunc(done)}, nil
}

// pgxRows are pgx's rows in the form of the contract.
type pgxRows struct {
	pgx.Rows
	done func()
}

// Err returns the error that ended the rows early, if any.
func (r *pgxRows) Err() error { return known(r.Rows.Err()) }

// Close reads and discards the remaining rows.
func (r *pgxRows) Close() error {
	r.Rows.Close()
	r.done()
	return nil
}

// known adds sql.ErrTxDone to an error with which pgx reports that the transaction has ended.
func known(err error) error {
	if errors.Is(err, pgx.ErrTxClosed) {
		return fmt.Errorf("%w: %w", sql.ErrTxDone, err)
	}
	return err
}

// endWithin bounds the clean-up that runs although the caller's ctx may have ended.
const endWithin = 5 * time.Second

// pgxOwnTx is a transaction that the dialect has begun.
type pgxOwnTx struct {
	pgxSession
	tx   pgx.Tx
	ctx  context.Context //nolint:containedctx // that of Begin, as in database/sql
	done func()
}

func pgxBegin(ctx context.Context, on interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}, done func(),
) (engine.Tx, error) {
	tx, err := on.Begin(ctx)
	if err != nil {
		done()
		return nil, err
	}
	return pgxOwnTx{pgxSession{tx}, tx, ctx, sync.OnceFunc(done)}, nil
}

// Commit commits the transaction.
func (t pgxOwnTx) Commit() error {
	defer t.done()
	return known(t.tx.Commit(t.ctx))
}

// Rollback ends the transaction, even if its ctx has ended.
func (t pgxOwnTx) Rollback() error {
	defer t.done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), endWithin)
	defer cancel()
	return known(t.tx.Rollback(ctx))
}

// pgxDedicated is a dedicated connection of pgx. Each call has exclusive use of it until its rows
// are closed, because pgx's connections are not safe for concurrent use.
type pgxDedicated struct {
	conn  *pgx.Conn
	open  context.Context //nolint:containedctx // ends with Close
	close context.CancelFunc
	mu    sync.Mutex
}

func newPgxDedicated(ctx context.Context, conn *pgx.Conn) *pgxDedicated {
	d := &pgxDedicated{conn: conn}
	d.open, d.close = context.WithCancel(context.WithoutCancel(ctx))
	return d
}

// Within returns a context for a call that has to end when ctx ends or the connection is closed.
func (d *pgxDedicated) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.open, cancel)
	return ctx, func() { stop(); cancel() }
}

// enter begins a call, which must call d.mu.Unlock when it ends. It returns an error, and leaves
// d.mu unlocked, if the connection is closed.
func (d *pgxDedicated) enter() error {
	d.mu.Lock()
	if d.open.Err() != nil {
		d.mu.Unlock()
		return sql.ErrConnDone
	}
	return nil
}

// Exec runs a statement and returns how many rows it has changed.
func (d *pgxDedicated) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	return pgxSession{d.conn}.Exec(ctx, query, args...)
}

// Query runs a statement that returns rows.
func (d *pgxDedicated) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	return pgxQuery(ctx, d.conn, d.mu.Unlock, query, args)
}

// Begin begins a transaction, which has exclusive use of the connection until it ends.
func (d *pgxDedicated) Begin(ctx context.Context) (engine.Tx, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	return pgxBegin(ctx, d.conn, d.mu.Unlock)
}

func (d *pgxDedicated) lend(f func(conn *pgx.Conn) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	return f(d.conn)
}

// Close closes the connection. It waits for running calls, which end soon if they run under a
// context of Within. A second Close does nothing.
func (d *pgxDedicated) Close() error {
	d.close()
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	return d.conn.Close(ctx)
}
