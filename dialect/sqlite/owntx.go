package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// ownTxGrace is how long the caller's transaction must make no progress before the caller is
// refused. Any progress comes from another goroutine, since the caller is waiting, and that
// goroutine may also end the transaction.
const ownTxGrace = 500 * time.Millisecond

// OwnTx returns an error if the calling goroutine itself has the write lock. It knows that of
// transactions begun by BeginTx on a pool from [Open]. It returns nil in these cases, and the
// caller then waits as for a transaction of another process:
//
//   - Another goroutine began the transaction.
//   - The transaction makes progress while OwnTx waits.
//   - The transaction ends within half a second: it was left to another goroutine.
func (d *Dialect) OwnTx(ctx context.Context) error {
	if openWriters.count.Load() == 0 {
		return nil
	}
	own := d.ownWriter(ctx)
	if own == nil {
		return nil
	}
	statements := own.statements.Load()
	timer := time.NewTimer(ownTxGrace)
	defer timer.Stop()
	select {
	case <-own.ended:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	if own.statements.Load() != statements {
		return nil
	}
	return fail("write", fmt.Errorf("%w: the calling goroutine itself has the database locked, by its open "+
		"transaction that %s, and SQLite has one writer at a time: it would wait for itself; commit or roll back "+
		"first, or take the lock before the transaction begins, or in it with AcquireTx", dialect.ErrDeadlock, own))
}

// ownWriter returns the transaction in the dialect's file that the calling goroutine has begun, or
// nil if there is none.
func (d *Dialect) ownWriter(ctx context.Context) *writer {
	id := goroutineID()
	if id == 0 {
		return nil
	}
	for _, w := range findWriters(func(w *writer) bool { return w.goroutine == id }) {
		if sameFile(w.file, d.findFile(ctx)) {
			return w
		}
	}
	return nil
}

// Writer names the transaction of this process, or the other process, that has the write lock now.
func (d *Dialect) Writer() string { return describeWriter(d.file()) }

// file returns the database's file as SQLite names it, or "" as long as it isn't known.
func (d *Dialect) file() string {
	if name := d.fileName.Load(); name != nil {
		return *name
	}
	return ""
}

// findFile is file, and asks SQLite if necessary.
func (d *Dialect) findFile(ctx context.Context) string {
	if d.file() == "" && d.db != nil {
		ctx, cancel := context.WithTimeout(ctx, ownTxGrace)
		defer cancel()
		files, err := engine.Query(ctx, dialect.SQL(d.db), func(rows dialect.Rows, file *string) error {
			var number int
			var schema string
			var name sql.NullString
			err := rows.Scan(&number, &schema, &name)
			*file = name.String
			return err
		}, "PRAGMA database_list") // which waits for no lock; the first is main
		// it waits for no lock; the first row is main
		if err == nil && len(files) > 0 {
			d.fileName.Store(&files[0])
		}
	}
	return d.file()
}

// describeWriter names the holder of a file's write lock, or returns "" if it can't find out.
func describeWriter(file string) string {
	if file == "" {
		return ""
	}
	for _, w := range findWriters(func(*writer) bool { return true }) {
		if sameFile(w.file, file) {
			return "a transaction of this process that " + w.String()
		}
	}
	switch pid := lockingProcess(file); {
	case pid == os.Getpid():
		return "another connection of this process"
	case pid > 0:
		return fmt.Sprintf("process %d", pid)
	}
	return ""
}
