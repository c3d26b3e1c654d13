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
	"github.com/sqllock/sqllock/sqllock/once"
)

// consumerTables creates a message queue and the tables that handling a message changes. The queue
// delivers each message until it is acknowledged, perhaps to several consumers at once. The effects
// have no unique key on purpose: only once.DoTx keeps an effect from being written twice.
var consumerTables = []string{
	"CREATE TABLE inbox (message BIGINT NOT NULL PRIMARY KEY, acknowledged BIGINT NOT NULL)",
	"CREATE TABLE effects (message BIGINT NOT NULL, amount BIGINT NOT NULL)",
	"CREATE TABLE account (balance BIGINT NOT NULL)",
	"INSERT INTO account (balance) VALUES (0)",
}

// consumerSteps lists the steps at which a consumer can be killed.
var consumerSteps = []string{"begun", "claimed", "written", "remembered", "committed"}

// consumeArgs delivers a message to a consumer.
type consumeArgs struct {
	Message   int64
	Isolation sql.IsolationLevel
	Die       string // at this step, send the event "at" and wait to be killed; none if empty
}

var _ = handle("consume", (*worker).consume)

// consume handles a message, and repeats that until it succeeds, as if the queue delivered the
// message again.
func (w *worker) consume(ctx context.Context, args consumeArgs) (any, error) {
	at := func(step string) {
		if step == args.Die {
			w.event("at", step)
			select {} // to be killed
		}
	}
	deadline := time.Now().Add(stepTimeout / 2)
	for {
		replayed, err := w.handleMessage(ctx, args, at)
		if err == nil {
			at("committed")
			_, err = w.target.DB.ExecContext(ctx,
				fmt.Sprintf("UPDATE inbox SET acknowledged = 1 WHERE message = %d", args.Message))
			return replayed, err
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
}

// handleMessage handles a message in one transaction, and calls at with the name of each step.
func (w *worker) handleMessage(ctx context.Context, args consumeArgs, at func(step string)) (replayed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	tx, err := w.target.DB.BeginTx(ctx, &sql.TxOptions{Isolation: args.Isolation})
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	at("begun")
	key := fmt.Sprint("message/", args.Message)
	out, err := once.DoTx(ctx, w.locks, tx, key, func(ctx context.Context) ([]byte, error) {
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
	at("remembered")
	return out.Replayed, tx.Commit()
}

// A consumer is killed at each step. Each message is delivered again, to several consumers at once,
// and takes effect exactly once.
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
				if replayed, err := receive[bool](p, "consume", answer, stepTimeout); err != nil || replayed {
					t.Errorf("the last message, whose consumer was not killed: replayed %t, %v", replayed, err)
				}
				continue
			}
			select {
			case <-at:
			case <-time.After(stepTimeout):
				t.Fatalf("the consumer has not reached step %q after %s", step, stepTimeout)
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

// redeliver delivers each message several times at once. At most one of these does the work.
func redeliver(t *testing.T, p *process, messages []int64, levels []sql.IsolationLevel) {
	t.Helper()
	for _, message := range messages {
		var all sync.WaitGroup
		for _, level := range append(levels, levels...) {
			all.Go(func() {
				args := consumeArgs{Message: message, Isolation: level}
				if _, err := ask[bool](p, "consume", args, stepTimeout); err != nil {
					t.Errorf("message %d, delivered again: %v", message, err)
				}
			})
		}
		all.Wait()
	}
}

// once.Do and once.DoTx refuse invalid keys and a missing transaction with ErrInvalid, without
// running the work. The longest key and the largest result are accepted.
func TestOnceBadInput(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		c := client(t, target, sqllock.Options{})
		ran := false
		work := func(context.Context, *sqllock.Lock) ([]byte, error) {
			ran = true
			return make([]byte, once.MaxResultBytes), nil
		}
		for _, key := range []string{"", " a", "a\x00", "\xff"} {
			if _, err := once.Do(t.Context(), c, key, work); !errors.Is(err, sqllock.ErrInvalid) || ran {
				t.Errorf("key %q: %v; want ErrInvalid, and ran the work: %t", key, err, ran)
			}
		}
		_, err := once.DoTx(t.Context(), c, nil, "key", func(context.Context) ([]byte, error) { return nil, nil })
		if !errors.Is(err, sqllock.ErrInvalid) {
			t.Errorf("DoTx without a transaction: %v; want ErrInvalid", err)
		}
		long := string(slices.Repeat([]byte("ä"), 127)) + "x"
		for _, replayed := range []bool{false, true} {
			out, err := once.Do(t.Context(), c, long, work, once.Keep(sqllock.MaxHold))
			if err != nil || len(out.Result) != once.MaxResultBytes || out.Replayed != replayed {
				t.Errorf("the largest result: %d bytes, replayed %t, %v", len(out.Result), out.Replayed, err)
			}
		}
	})
}
