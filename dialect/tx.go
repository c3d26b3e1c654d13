package dialect

import (
	"context"
	"database/sql"
	"errors"
)

// Tx runs statements in a transaction that the caller has begun and will end. The contract defines
// its own interface instead of using that of database/sql, so that anybody can implement it: a
// *sql.Rows can't be constructed outside of database/sql. [SQL] makes a Tx from a *sql.Tx, and
// package dialect/postgres makes one from a pgx.Tx.
//
// The statements are in the engine's SQL, with its placeholders. An implementation sends them
// unchanged and passes every argument on to the driver, including one that isn't a parameter but
// tells the driver how to send the statement.
type Tx interface {
	// Exec runs a statement and returns how many rows it has changed.
	Exec(ctx context.Context, query string, args ...any) (affected int64, err error)

	// Query runs a statement that returns rows. Its error may come as late as Rows.Err. The caller
	// closes the rows before it runs another statement.
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Rows are the result of a statement. A *sql.Rows implements this interface.
type Rows interface {
	// Next advances to the next row, and to the first one at the first call. It returns false if
	// there is none, or after an error, which Err returns.
	Next() bool
	// Scan reads the columns of the row. It reads NULL only where dest is a sql.Scanner.
	Scan(dest ...any) error
	// Err returns the error that ended the rows early. It may also be an error of the statement or
	// of its commit.
	Err() error
	Close() error // Close may be called repeatedly.
}

// Querier is what transactions, connections and pools of database/sql have in common.
type Querier interface {
	// ExecContext runs a statement.
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)

	// QueryContext runs a statement that returns rows.
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// SQL returns a [Tx] that runs its statements on q, which must not be nil: a *sql.Tx, or anything
// with these methods of it.
func SQL(q Querier) Tx { return sqlTx{q} }

// sqlTx remains a Querier, for an engine that needs more of the result than the number of rows.
type sqlTx struct{ Querier }

// Exec calls ExecContext.
func (t sqlTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Query calls QueryContext.
func (t sqlTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := t.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller checks and closes them
	if err != nil {
		return nil, err // not rows: a nil *sql.Rows in the interface would not be nil
	}
	return rows, nil
}

// SQLPool is implemented by a dialect that can begin database/sql transactions in the database of
// the locks.
type SQLPool interface {
	// DB returns the pool that the dialect runs on, which the caller still has to close. It returns
	// nil if the pool isn't one of database/sql.
	DB() *sql.DB
}

// ErrDeadlock is wrapped by an error that says that the server ended a deadlock by failing this
// call, or that the caller waits for itself.
var ErrDeadlock = errors.New("deadlock")

// Locator is implemented by a dialect that can name the database of a transaction, to explain that
// a transaction isn't in the database of the lock.
type Locator interface {
	// Locate names the database, and the schema if there are several in one, in which the dialect's
	// statements find their tables: in tx, and in the dialect's own pool. Two servers may use the
	// same name. If tx is nil the error wraps [ErrInvalid].
	Locate(ctx context.Context, tx Tx) (of, own string, err error)
}

// TxLocker is implemented by an engine that takes locks in the caller's transaction. These locks
// end with the transaction. Their names are independent of those of lease locks and of those of
// [SessionLocker]. LockTx leaves no setting of the session changed.
type TxLocker interface {
	// LockTx takes the lock in tx. It returns false if another holds the lock and wait is false; tx
	// remains usable.
	//
	// If wait is true, LockTx waits, in the server's own queue or in whatever way the server waits,
	// until ctx ends or tx can't wait any longer. After that tx can only be rolled back. The error
	// wraps [ErrDeadlock] if the server reports a deadlock, and includes what it says about the
	// parties.
	//
	// Taking a lock that tx already holds changes nothing, or makes a shared lock exclusive. If tx
	// is nil the error wraps [ErrInvalid]. For a shared lock on an engine without shared locks it
	// wraps [ErrUnsupported].
	LockTx(ctx context.Context, tx Tx, lock ServerLock, wait bool) (bool, error)
}

// OneWriter is implemented by an engine whose database has one writer at a time. A caller that has
// written in an open transaction, and requests a lock outside of it, waits for itself.
type OneWriter interface {
	// OwnTx returns an error that wraps [ErrDeadlock] and gives advice, if the calling goroutine
	// itself began the transaction that has the write lock, and the transaction makes no progress
	// for a moment. OwnTx waits for this moment or until ctx ends. It returns nil in all other
	// cases, and if it can't find out. It costs nothing while no transaction is open.
	OwnTx(ctx context.Context) error

	// Writer names the holder of the write lock, for people: a transaction of this process and
	// where it began, or another process. It returns "" if there is none or it can't find out.
	Writer() string
}

// Reconnecter is implemented by an engine whose pool may keep connections to a server that has
// become read-only, as a demoted primary does, while new connections would reach its successor.
type Reconnecter interface {
	// Reconnect closes those of the pool's idle connections whose server takes no writes. It blocks
	// until it has asked each of them, or ctx ends.
	Reconnect(ctx context.Context) error
}
