package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// ledgerTable creates the ledger, an application's own table beside those of sqllock. Its key lets
// two workers write the same line on purpose: only the lock keeps them from that. Some clusters
// want a primary key in every table. All its columns are integers, so that statements need no
// placeholders, which differ between the engines.
var ledgerTable = []string{
	`CREATE TABLE ledger (account BIGINT NOT NULL, line BIGINT NOT NULL,
		worker BIGINT NOT NULL, routine BIGINT NOT NULL,
		job BIGINT NOT NULL, fence BIGINT NOT NULL, balance BIGINT NOT NULL,
		PRIMARY KEY (account, line, worker, routine, job))`,
}

// entry is one line of the ledger. It continues the line that its writer has read.
type entry struct {
	Account              int64
	Line                 int64
	Worker, Routine, Job int64
	Fence                int64
	Balance              int64 // the balance of the line before plus Job
}

// guard is a lock, a set of locks, or a term.
type guard interface {
	Guard(ctx context.Context, tx sqllock.Tx) error
}

// held is a lock, or a set of locks.
type held interface {
	guard
	Release(ctx context.Context) error
}

// errInDoubt means that the commit failed, so that it may or may not have happened.
var errInDoubt = errors.New("outcome unknown")

const statementLimit = 20 * time.Second

// write does a job: it reads the newest line, and adds the next one in a guarded transaction. Any
// error except errInDoubt means that nothing was written.
func (e entry) write(ctx context.Context, db *sql.DB, lock guard) error {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	e, err := e.next(ctx, db)
	if err != nil {
		return err
	}
	return e.writeNext(ctx, db, lock)
}

// writeNext is the second part of write, after the newest line was read.
func (e entry) writeNext(ctx context.Context, db *sql.DB, lock guard) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return e.writeIn(ctx, tx, lock)
}

// writeInTx is write, but reads in the transaction, too. In a failover, the pool may have
// connections to a former primary, which answers reads with old data.
func (e entry) writeInTx(ctx context.Context, db *sql.DB, lock guard) error {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if e, err = e.next(ctx, tx); err != nil {
		return err
	}
	return e.writeIn(ctx, tx, lock)
}

// next returns e as the line after the newest one of its account.
func (e entry) next(ctx context.Context, from interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (entry, error) {
	err := from.QueryRowContext(ctx, fmt.Sprintf("SELECT line, balance FROM ledger "+
		"WHERE account = %[1]d AND line = (SELECT MAX(line) FROM ledger WHERE account = %[1]d)",
		e.Account)).Scan(&e.Line, &e.Balance)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return e, err
	}
	e.Line++
	e.Balance += e.Job
	return e, nil
}

// writeIn writes the line in tx, guards tx, and commits it.
func (e entry) writeIn(ctx context.Context, tx *sql.Tx, lock guard) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(
		"INSERT INTO ledger (account, line, worker, routine, job, fence, balance) VALUES (%d, %d, %d, %d, %d, %d, %d)",
		e.Account, e.Line, e.Worker, e.Routine, e.Job, e.Fence, e.Balance))
	if err != nil {
		return err
	}
	if err := lock.Guard(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%w: %w", errInDoubt, err)
	}
	return nil
}

// readLedger reads the whole ledger, each account's lines in order.
func readLedger(t testing.TB, db *sql.DB) []entry {
	t.Helper()
	rows, err := db.QueryContext(t.Context(),
		"SELECT account, line, worker, routine, job, fence, balance FROM ledger ORDER BY account, line, fence")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []entry
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.Account, &e.Line, &e.Worker, &e.Routine, &e.Job, &e.Fence, &e.Balance); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
