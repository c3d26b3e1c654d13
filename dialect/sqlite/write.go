package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// writers controls how the writes of one Dialect get SQLite's one write lock.
//
// Within the process they queue, first come first served, so that only the first one competes with
// the application's own transactions and with other processes. While the file is quiet, that one
// just sends its statement. While others write too, it competes; see compete. Heartbeats don't
// queue, since they must not wait behind many writes, and always compete.
type writers struct {
	queue chan struct{}
	// when a write last had to wait, in nanoseconds since 1970; 0 if the last one had not
	contested atomic.Int64
}

const (
	slowWrite = 100 * time.Millisecond // a slower write may have waited for others
	// a write that was refused at first, and took longer, has waited
	slowAttempt  = 25 * time.Millisecond
	contestLasts = time.Second // how long after that a write competes from the first try
)

func (w *writers) isContested() bool {
	return time.Since(time.Unix(0, w.contested.Load())) < contestLasts
}

// sent records how long a statement took. SQLite doesn't report whether it waited.
func (w *writers) sent(began time.Time) {
	if now := time.Now(); now.Sub(began) >= slowWrite {
		w.contested.Store(now.UnixNano())
	}
}

// competed records how long it took to get the write lock. A write that got it at once has no
// rivals.
func (w *writers) competed(waited *wait) {
	switch now := time.Now(); {
	case !waited.refused:
		w.contested.Store(0)
	case now.Sub(waited.began) >= slowAttempt:
		w.contested.Store(now.UnixNano())
	}
}

// write calls f, which writes, when it is the caller's turn. It waits for that, and for the
// database, until ctx ends.
func write[T any](ctx context.Context, d *Dialect, f func(s engine.Session) (T, error)) (result T, err error) {
	select {
	case d.writers.queue <- struct{}{}:
		defer func() { <-d.writers.queue }()
	case <-ctx.Done():
		return result, &busyError{"waiting for other writers of this process", []error{ctx.Err()}}
	}
	if d.writers.isContested() {
		return compete(ctx, d, startWait(d.file()), f)
	}
	began := time.Now()
	result, err = f(d.pool)
	d.writers.sent(began)
	switch {
	case isBusy(err):
		return compete(ctx, d, startWait(d.file()), f)
	// SQLite itself may have waited
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		if by := d.Writer(); by != "" {
			err = fmt.Errorf("%w; the write lock is now held by %s", err, by)
		}
	}
	return result, err
}

// compete is write for calls that don't queue, or that have found other writers. SQLite doesn't
// wait then: f is called again and again until the lock is free or ctx ends. Each time it runs one
// statement, which has the write lock for no longer than it needs. ctx interrupts none of these
// statements, since none of them waits. So after ctx ends the call, nothing has happened.
func compete[T any](
	ctx context.Context, d *Dialect, w *wait, f func(s engine.Session) (T, error),
) (result T, err error) {
	defer d.writers.competed(w)
	conn, err := d.conn(ctx)
	if err != nil {
		return result, err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	if wal, err := whenFree(ctx, d.file(), func() (bool, error) { return isWAL(ctx, conn) }); err != nil || !wal {
		if err == nil {
			result, err = competeWithReaders(ctx, d, conn, w, f)
		}
		return result, err
	}
	s := &repeated{conn: conn, ctx: context.WithoutCancel(ctx)}
	defer s.close()
	err = unwaiting(ctx, conn, func() error {
		result, err = untilFree(ctx, w, func() (T, error) { return f(dialect.SQL(s)) })
		return err
	})
	return result, err
}

func isWAL(ctx context.Context, conn *sql.Conn) (bool, error) {
	journal, err := engine.Query(ctx, dialect.SQL(conn), engine.One[string], "PRAGMA journal_mode")
	return len(journal) == 1 && journal[0] == "wal", err
}

// competeWithReaders is compete for a rollback journal, where readers keep a writer from its
// commit. There the writer has to keep the lock that it has while it waits for them, since no new
// reader can begin then.
func competeWithReaders[T any](
	ctx context.Context, d *Dialect, conn *sql.Conn, w *wait, f func(s engine.Session) (T, error),
) (result T, err error) {
	err = d.writeOn(ctx, conn, w, func(tx *sql.Tx) (err error) {
		if result, err = f(dialect.SQL(tx)); err != nil {
			return &undoneError{err}
		}
		return tx.Commit()
	})
	return result, err
}

// undoneError is the error of a statement in a transaction that was then rolled back. Nothing
// happened.
type undoneError struct{ err error }

func (e *undoneError) Error() string { return e.err.Error() }
func (e *undoneError) Unwrap() error { return e.err }

// repeated runs statements on conn, keeps them prepared, and uses its own ctx.
type repeated struct {
	conn *sql.Conn
	ctx  context.Context //nolint:containedctx // in place of the one that the statements are called with
	kept map[string]*sql.Stmt
}

func (r *repeated) prepare(query string) (*sql.Stmt, error) {
	if s := r.kept[query]; s != nil {
		return s, nil
	}
	s, err := r.conn.PrepareContext(r.ctx, query)
	if err != nil {
		return nil, err
	}
	if r.kept == nil {
		r.kept = make(map[string]*sql.Stmt)
	}
	r.kept[query] = s
	return s, nil
}

// ExecContext runs a statement with r.ctx.
func (r *repeated) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	s, err := r.prepare(query) //nolint:sqlclosecheck // close does
	if err != nil {
		return nil, err
	}
	return s.ExecContext(r.ctx, args...)
}

// QueryContext runs a query with r.ctx.
func (r *repeated) QueryContext(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := r.prepare(query) //nolint:sqlclosecheck // close does
	if err != nil {
		return nil, err
	}
	return s.QueryContext(r.ctx, args...)
}

func (r *repeated) close() {
	for _, s := range r.kept {
		_ = s.Close() // nothing depends on it
	}
}

// asWriter calls f with a transaction that has the write lock, and rolls back what f hasn't
// committed. It waits until it gets the lock or ctx ends. It calls f again if f finds the database
// busy: in a rollback journal, readers keep a writer from its commit.
func (d *Dialect) asWriter(ctx context.Context, f func(tx *sql.Tx) error) error {
	w := startWait(d.file())
	conn, err := d.conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	return d.writeOn(ctx, conn, w, f)
}

// conn returns a connection of the pool.
func (d *Dialect) conn(ctx context.Context) (*sql.Conn, error) {
	if d.db == nil {
		return nil, dialect.CheckDB(nil)
	}
	conn, err := whenFree(ctx, d.file(), func() (*sql.Conn, error) { return d.db.Conn(ctx) })
	if err != nil && ctx.Err() != nil && !isBusy(err) {
		err = &busyError{"waiting for a connection of the *sql.DB", []error{engine.Exhausted(d.db, ctx.Err())}}
	}
	return conn, err
}

// writeOn is asWriter on a given connection.
func (d *Dialect) writeOn(ctx context.Context, conn *sql.Conn, w *wait, f func(tx *sql.Tx) error) error {
	_, err := untilFree(ctx, w, func() (_ struct{}, err error) {
		var tx *sql.Tx
		err = unwaiting(ctx, conn, func() error {
			tx, err = untilFree(ctx, w, func() (*sql.Tx, error) { return d.beginWriter(ctx, conn) })
			return err
		})
		if err != nil {
			return struct{}{}, err
		}
		err = f(tx)
		if failed := tx.Rollback(); failed != nil && !errors.Is(failed, sql.ErrTxDone) {
			discard(conn) // SQLite has rolled back by itself, or can't
			if isBusy(err) {
				err = driver.ErrBadConn // not retried on this connection
			}
		}
		return struct{}{}, err
	})
	return err
}

// beginWriter begins a transaction and takes the write lock. On a pool from [Open] the transaction
// begins IMMEDIATE. On another pool it may not, and then the statement takes the lock.
func (d *Dialect) beginWriter(ctx context.Context, conn *sql.Conn) (*sql.Tx, error) {
	ctx = context.WithoutCancel(ctx)
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	if _, err = tx.ExecContext(ctx, d.sql.writeLock); err != nil {
		if tx.Rollback() != nil {
			discard(conn)
			return nil, driver.ErrBadConn
		}
		return nil, err
	}
	return tx, nil
}

// unwaiting calls f while SQLite itself doesn't wait on conn: it sets busy_timeout to 0 and
// restores it afterwards.
func unwaiting(ctx context.Context, conn *sql.Conn, f func() error) error {
	if ctx.Err() != nil {
		return &busyError{"nothing was sent to the database", []error{ctx.Err()}}
	}
	ctx = context.WithoutCancel(ctx)
	was, err := engine.Query(ctx, dialect.SQL(conn), engine.One[int], "PRAGMA busy_timeout")
	if err == nil {
		err = setBusyTimeout(ctx, conn, 0)
	}
	if err != nil {
		return err
	}
	err = f()
	if len(was) == 1 {
		if failed := setBusyTimeout(ctx, conn, was[0]); failed != nil {
			discard(conn)
		}
	}
	return err
}

func setBusyTimeout(ctx context.Context, conn *sql.Conn, ms int) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", ms))
	return err
}

// discard closes the connection instead of returning it to its pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
