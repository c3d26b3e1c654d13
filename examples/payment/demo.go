package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// The statements contain only integers and need no placeholders, whose syntax differs between
// engines.
var tables = []string{
	"DROP TABLE IF EXISTS payment_transfers",
	"CREATE TABLE payment_transfers (payee BIGINT NOT NULL, amount BIGINT NOT NULL)",
}

const doomed = "host 1" // hangs while it pays the second payee, and is then killed

// runDemo runs the demo: the host that runs the payout is killed in the middle, and two others
// start.
func runDemo(ctx context.Context, out io.Writer) error {
	s, err := demo.Open(ctx, out, tables...)
	if err != nil {
		return err
	}
	defer s.Close()
	job := fmt.Sprint("payout", time.Now().UnixNano()) // unique, because earlier runs are remembered
	if err := s.Start(doomed, "host", doomed, job); err != nil {
		return err
	}
	if _, err := s.KillAt(ctx, "is about to commit"); err != nil {
		return err
	}
	others := []string{"host 2", "host 3"}
	for _, name := range others {
		if err := s.Start(name, "host", name, job); err != nil {
			return err
		}
	}
	for _, name := range others {
		if err := s.Wait(ctx, name); err != nil {
			return err
		}
	}
	return prove(ctx, s)
}

// prove checks the payments.
func prove(ctx context.Context, s *demo.Demo) error {
	var transfers, paid int64
	var sum sql.NullInt64
	err := s.DB.DB.QueryRowContext(ctx, "SELECT COUNT(*), COUNT(DISTINCT payee), SUM(amount) FROM payment_transfers").
		Scan(&transfers, &paid, &sum)
	if err != nil {
		return err
	}
	if transfers != payees || paid != payees || sum.Int64 != payees*amount {
		return fmt.Errorf("%d transfers to %d payees, with a sum of %d; want %d",
			transfers, paid, sum.Int64, payees*amount)
	}
	s.Say("The proof", fmt.Sprintf("%d payees, %d transfers, %d paid: each once", paid, transfers, sum.Int64))
	return nil
}
