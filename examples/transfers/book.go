//go:build unix

package main

import (
	"context"
	"database/sql"
	"fmt"
)

// initial is the balance of each account in the beginning.
const initial = 100

// entry is one line of an account. The table deliberately has no unique key: only the locks keep
// two workers from continuing the same line. Its columns are integers, so that the statements need
// no placeholders, whose syntax differs between engines.
type entry struct {
	account int64
	number  int64 // the number of the line that the writer had read, plus one
	amount  int64
	balance int64 // the balance of the line that the writer had read, plus the amount
	fence   int64 // the fence of the account's lock
}

// tables returns the statements that create the book, with a first line for each account.
func tables() []string {
	statements := []string{
		"DROP TABLE IF EXISTS demo_entries",
		"CREATE TABLE demo_entries (account BIGINT NOT NULL, number BIGINT NOT NULL, amount BIGINT NOT NULL, " +
			"balance BIGINT NOT NULL, fence BIGINT NOT NULL)",
	}
	for account := range int64(accounts) {
		statements = append(statements, entry{account: account + 1}.next(initial, 0).insert())
	}
	return statements
}

// newest returns the last line of an account.
func newest(ctx context.Context, db *sql.DB, account int) (entry, error) {
	e := entry{account: int64(account)}
	err := db.QueryRowContext(ctx, fmt.Sprintf("SELECT number, balance FROM demo_entries WHERE account = %[1]d "+
		"AND number = (SELECT MAX(number) FROM demo_entries WHERE account = %[1]d)",
		account)).Scan(&e.number, &e.balance)
	return e, err
}

// next returns the line that follows e.
func (e entry) next(amount, fence int64) entry {
	return entry{e.account, e.number + 1, amount, e.balance + amount, fence}
}

func (e entry) insert() string {
	return fmt.Sprintf("INSERT INTO demo_entries (account, number, amount, balance, fence) VALUES (%d, %d, %d, %d, %d)",
		e.account, e.number, e.amount, e.balance, e.fence)
}

func (e entry) add(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, e.insert())
	return err
}

// prove checks all accounts: each line continues the one before it, with a greater fence, and the
// total hasn't changed.
func prove(ctx context.Context, db *sql.DB) (string, error) {
	rows, err := db.QueryContext(ctx,
		"SELECT account, number, amount, balance, fence FROM demo_entries ORDER BY account, number, fence")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var before entry
	var lines, total int64
	for ; rows.Next(); lines++ {
		var e entry
		if err := rows.Scan(&e.account, &e.number, &e.amount, &e.balance, &e.fence); err != nil {
			return "", err
		}
		if e.account != before.account {
			before = entry{account: e.account, fence: -1}
		}
		switch {
		case e != before.next(e.amount, e.fence):
			return "", fmt.Errorf("account %d: line %d with balance %d doesn't continue line %d with balance %d",
				e.account, e.number, e.balance, before.number, before.balance)
		case e.fence <= before.fence:
			return "", fmt.Errorf("account %d: fence %d of line %d is not greater than %d before it",
				e.account, e.fence, e.number, before.fence)
		}
		total += e.amount
		before = e
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	if total != accounts*initial || lines%2 != 0 {
		return "", fmt.Errorf("%d lines, and a total of %d that should be %d", lines, total, accounts*initial)
	}
	return fmt.Sprintf("%d transfers, the total is %d as before, each account's fences only grow",
		(lines-accounts)/2, total), nil
}
