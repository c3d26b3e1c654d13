package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// A queue that delivers each message until it is acknowledged, perhaps to several at once, and what the messages have an effect
// on. The effects have no unique key on purpose: nothing but OnceTx keeps one from being written twice.
var consumerTables = []string{
	"CREATE TABLE inbox (message BIGINT NOT NULL PRIMARY KEY, acknowledged BIGINT NOT NULL)",
	"CREATE TABLE effects (message BIGINT NOT NULL, amount BIGINT NOT NULL)",
	"CREATE TABLE account (balance BIGINT NOT NULL)",
	"INSERT INTO account (balance) VALUES (0)",
}

// consumerSteps is where a consumer can be killed.
var consumerSteps = []string{"begun", "claimed", "written", "settled", "committed"}

// consumeArgs delivers a message.
type consumeArgs struct {
	Message   int64
	Isolation sql.IsolationLevel
	Die       string // the step at which to say so, and wait to be killed; empty: none
}

var _ = handle("consume", (*worker).consume)

// consume handles a message until that has worked, as a consumer does whose queue delivers it again.
func (w *worker) consume(ctx context.Context, args consumeArgs) (any, error) {
	at := func(step string) {
		if step == args.Die {
			w.event("at", step)
			select {} // to be killed
		}
	}
	deadline := time.Now().Add(patience / 2)
	for {
		replayed, err := w.handleMessage(ctx, args, at)
		if err == nil {
			at("committed")
			_, err = w.target.DB.ExecContext(ctx, fmt.Sprintf("UPDATE inbox SET acknowledged = 1 WHERE message = %d", args.Message))
			return replayed, err
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
}

func (w *worker) handleMessage(ctx context.Context, args consumeArgs, at func(step string)) (replayed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	tx, err := w.target.DB.BeginTx(ctx, &sql.TxOptions{Isolation: args.Isolation})
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	at("begun")
	out, err := w.locks.OnceTx(ctx, tx, fmt.Sprint("message/", args.Message), func(ctx context.Context, tx *sql.Tx) ([]byte, error) {
		at("claimed")
		for _, text := range []string{
			fmt.Sprintf("INSERT INTO effects (message, amount) VALUES (%d, 1)", args.Message),
			"UPDATE account SET balance = balance + 1",
		} {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				return nil, err
			}
		}
		at("written")
		return fmt.Append(nil, args.Message), nil
	})
	if err != nil {
		return false, err
	}
	if string(out.Result) != fmt.Sprint(args.Message) {
		return false, fmt.Errorf("the outcome of message %d is %q", args.Message, out.Result)
	}
	at("settled")
	return out.Replayed, tx.Commit()
}

// A consumer is killed at every step, and each message delivered again, to several at once: each has its effects once.
func TestConsumerKilled(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, consumerTables...)
		levels := []sql.IsolationLevel{sql.LevelDefault, sql.LevelSerializable}
		steps := slices.Concat(consumerSteps, []string{""})
		var unacknowledged []int64
		for i, step := range steps {
			at := make(chan string, 1)
			p := start(t, setup{URL: url, Holder: fmt.Sprint("consumer ", i), ReapEvery: -1}, func(m message) {
				if m.Event == "at" {
					at <- step
				}
			})
			redeliver(t, p, unacknowledged, levels)
			unacknowledged = nil
			message := int64(i)
			execute(t, target, fmt.Sprintf("INSERT INTO inbox (message, acknowledged) VALUES (%d, 0)", message))
			answer, err := p.send("consume", consumeArgs{Message: message, Isolation: levels[i%2], Die: step})
			if err != nil {
				t.Fatal(err)
			}
			if step == "" {
				if replayed, err := hear[bool](p, "consume", answer, patience); err != nil || replayed {
					t.Errorf("the last message: replayed %t, %v", replayed, err)
				}
				continue
			}
			select {
			case <-at:
			case <-time.After(patience):
				t.Fatalf("not %q after %s", step, patience)
			}
			p.kill()
			unacknowledged = append(unacknowledged, message)
		}
		for query, want := range map[string]int{
			"SELECT COUNT(*) FROM effects":                       len(steps),
			"SELECT COUNT(DISTINCT message) FROM effects":        len(steps),
			"SELECT balance FROM account":                        len(steps),
			"SELECT COUNT(*) FROM inbox WHERE acknowledged <> 1": 0,
		} {
			if n := scan[int](t, target, query); n != want {
				t.Errorf("%s: %d, want %d", query, n, want)
			}
		}
	})
}

// redeliver delivers each message several times at once: one of those at most does the work.
func redeliver(t *testing.T, p *process, messages []int64, levels []sql.IsolationLevel) {
	t.Helper()
	for _, message := range messages {
		var all sync.WaitGroup
		for _, level := range append(levels, levels...) {
			all.Go(func() {
				if _, err := ask[bool](p, "consume", consumeArgs{Message: message, Isolation: level}, patience); err != nil {
					t.Errorf("message %d again: %v", message, err)
				}
			})
		}
		all.Wait()
	}
}

// What OnceTx refuses, on the real engines.
func TestOnceBadInput(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		c := client(t, target, sqllock.Options{})
		ran := false
		work := func(context.Context, *sqllock.Lock) ([]byte, error) {
			ran = true
			return make([]byte, sqllock.MaxResultBytes), nil
		}
		for _, key := range []string{"", " a", "a\x00", "\xff"} {
			if _, err := c.Once(t.Context(), key, work); !errors.Is(err, sqllock.ErrInvalid) || ran {
				t.Errorf("key %q: %v", key, err)
			}
		}
		_, err := c.OnceTx(t.Context(), nil, "key", func(context.Context, *sql.Tx) ([]byte, error) { return nil, nil })
		if !errors.Is(err, sqllock.ErrInvalid) {
			t.Errorf("no transaction: %v", err)
		}
		long := string(slices.Repeat([]byte("ä"), 127)) + "x"
		for _, replayed := range []bool{false, true} { // as large as it may be
			out, err := c.Once(t.Context(), long, work, sqllock.KeepOutcome(sqllock.MaxHold))
			if err != nil || len(out.Result) != sqllock.MaxResultBytes || out.Replayed != replayed {
				t.Errorf("the largest result: %d bytes, replayed %t, %v", len(out.Result), out.Replayed, err)
			}
		}
	})
}
