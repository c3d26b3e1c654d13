package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// In this demo the queue is a table. All columns are integers, so that the statements need no
// placeholders, whose syntax differs between engines. Only once.DoTx prevents an effect from being
// written twice. The first message is in the queue twice.
var tables = []string{
	"DROP TABLE IF EXISTS consumer_queue",
	"DROP TABLE IF EXISTS consumer_effects",
	"CREATE TABLE consumer_queue (number BIGINT NOT NULL, message BIGINT NOT NULL, acknowledged BIGINT NOT NULL)",
	"CREATE TABLE consumer_effects (message BIGINT NOT NULL, amount BIGINT NOT NULL)",
	"INSERT INTO consumer_queue (number, message, acknowledged) VALUES (1, 1, 0), (2, 2, 0), (3, 1, 0), (4, 3, 0)",
}

// runDemo runs the demo: one consumer is killed right before a commit, the next one right after a
// commit, and the third finishes.
func runDemo(ctx context.Context, out io.Writer) error {
	s, err := demo.Open(ctx, out, tables...)
	if err != nil {
		return err
	}
	defer s.Close()
	queue := fmt.Sprint("queue", time.Now().UnixNano()) // unique, because an earlier run's messages are remembered
	for i, step := range []string{beforeCommit, afterCommit} {
		if err := s.Start(fmt.Sprint("consumer ", i+1), "consume", queue, step); err != nil {
			return err
		}
		if _, err := s.KillAt(ctx, step); err != nil {
			return err
		}
	}
	const last = "consumer 3"
	if err := s.Start(last, "consume", queue, "never"); err != nil {
		return err
	}
	if err := s.Wait(ctx, last); err != nil {
		return err
	}
	return prove(ctx, s)
}

// prove checks the effects of the messages.
func prove(ctx context.Context, s *demo.Demo) error {
	var effects, messages int64
	var sum sql.NullInt64
	err := s.DB.DB.QueryRowContext(ctx, "SELECT COUNT(*), COUNT(DISTINCT message), SUM(amount) FROM consumer_effects").
		Scan(&effects, &messages, &sum)
	if err != nil {
		return err
	}
	if effects != 3 || messages != 3 || sum.Int64 != 10+20+30 {
		return fmt.Errorf("%d effects of %d messages, with a sum of %d; want 3 of 3, and 60",
			effects, messages, sum.Int64)
	}
	s.Say("The proof", fmt.Sprintf("%d messages, %d effects, balance %d: nothing lost, nothing done twice",
		messages, effects, sum.Int64))
	return nil
}
