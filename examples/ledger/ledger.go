//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
)

// tables create the ledger, the application's own table in the same database as sqllock's. It
// deliberately has no unique key: only the lock keeps two workers from writing the same line. All
// columns are integers, so that the statements need no placeholders, whose syntax differs between
// engines. They don't use LIMIT for the same reason.
var tables = []string{
	"DROP TABLE IF EXISTS demo_ledger",
	`CREATE TABLE demo_ledger (id BIGINT NOT NULL, previous BIGINT NOT NULL, worker BIGINT NOT NULL,
		job BIGINT NOT NULL, fence BIGINT NOT NULL, balance BIGINT NOT NULL)`,
}

// job is one piece of work of one worker.
type job struct{ worker, number int64 }

// entry is one line of the ledger.
type entry struct {
	id, previous int64 // previous is the line that the writer had read
	job          job
	fence        int64
	balance      int64 // the previous line's balance plus the job's number
}

// last reads the newest line. It returns the zero entry if there is none.
func last(ctx context.Context, db *sql.DB) (e entry, err error) {
	err = db.QueryRowContext(ctx,
		"SELECT id, balance FROM demo_ledger WHERE id = (SELECT MAX(id) FROM demo_ledger)").Scan(&e.id, &e.balance)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return e, err
}

// add writes a line in tx.
func (e entry) add(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(
		"INSERT INTO demo_ledger (id, previous, worker, job, fence, balance) VALUES (%d, %d, %d, %d, %d, %d)",
		e.id, e.previous, e.job.worker, e.job.number, e.fence, e.balance))
	return err
}

// has reports whether the holder with that fence has written its line.
func has(ctx context.Context, db *sql.DB, fence int64) (bool, error) {
	var n int64
	err := db.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*) FROM demo_ledger WHERE fence = %d", fence)).Scan(&n)
	return n > 0, err
}

// prove reads the whole ledger and checks what the lock promises.
func prove(ctx context.Context, db *sql.DB, reported report, out io.Writer) error {
	rows, err := db.QueryContext(ctx,
		"SELECT id, previous, worker, job, fence, balance FROM demo_ledger ORDER BY id, fence")
	if err != nil {
		return err
	}
	defer rows.Close()
	var before entry
	var lines, sum int64
	for ; rows.Next(); lines++ {
		var e entry
		if err := rows.Scan(&e.id, &e.previous, &e.job.worker, &e.job.number, &e.fence, &e.balance); err != nil {
			return err
		}
		sum += e.job.number
		switch {
		case e.id != before.id+1 || e.previous != before.id:
			return fmt.Errorf("overlap: line %d continues line %d, but follows line %d", e.id, e.previous, before.id)
		case e.fence <= before.fence:
			return fmt.Errorf("fence %d of line %d is not greater than %d before it", e.fence, e.id, before.fence)
		case reported.wrote[e.job] != 1 && e.job != reported.maybe:
			return fmt.Errorf("line %d is job %d of worker %d, which reported it %d times as written",
				e.id, e.job.number, e.job.worker, reported.wrote[e.job])
		}
		delete(reported.wrote, e.job)
		before = e
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(reported.wrote) > 0 || sum != before.balance {
		return fmt.Errorf("lost: jobs %v are not in the ledger; its balance is %d and should be %d",
			reported.wrote, before.balance, sum)
	}
	fmt.Fprintf(out, "\nThe ledger's proof: %d lines, balance %d\n  no overlap             every line continues "+
		"the one before it\n  fences strictly grow   up to %d\n  nothing lost           every job that a worker "+
		"reported as written is there\n  nothing written twice  every line is one job, and the balance is their "+
		"sum\n",
		lines, before.balance, before.fence)
	return nil
}
