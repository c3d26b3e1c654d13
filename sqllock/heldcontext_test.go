package sqllock_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/quorum"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// clientIn is a client in a synctest bubble.
func clientIn(t *testing.T, opts sqllock.Options) *sqllock.Client {
	t.Helper()
	opts.ReapEvery = -1
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := sqllock.New(t.Context(), sqllocktest.New(), &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// In a process that was paused past its lease's end, every context that ends with the lock reports
// that when it is asked, before any other goroutine has run.
func TestContextsAskTheClock(t *testing.T) {
	type hold = func(c *sqllock.Client, others []*sqllock.Client, ask func(context.Context)) error
	for name, hold := range map[string]hold{
		"Acquire": func(c *sqllock.Client, _ []*sqllock.Client, ask func(context.Context)) error {
			lock, err := c.Acquire(context.Background(), "job")
			if err == nil {
				ask(lock.Context())
			}
			return err
		},
		"Session": func(c *sqllock.Client, _ []*sqllock.Client, ask func(context.Context)) error {
			lock, err := c.Session("job").Acquire(context.Background())
			if err == nil {
				ask(lock.Context())
			}
			return err
		},
		"Do": func(c *sqllock.Client, _ []*sqllock.Client, ask func(context.Context)) error {
			return c.Do(context.Background(), "job", func(ctx context.Context, _ *sqllock.Lock) error {
				ask(ctx)
				return nil
			})
		},
		"once.Do": func(c *sqllock.Client, _ []*sqllock.Client, ask func(context.Context)) error {
			lose := func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
				ask(ctx)
				return nil, sqllock.ErrLost
			}
			_, err := once.Do(context.Background(), c, "job", lose)
			return err
		},
		"AcquireAll": func(c *sqllock.Client, _ []*sqllock.Client, ask func(context.Context)) error {
			set, err := c.AcquireAll(context.Background(), []string{"a", "b"})
			if err == nil {
				ask(set.Context())
			}
			return err
		},
		"Run": func(c *sqllock.Client, _ []*sqllock.Client, ask func(context.Context)) error {
			e, err := election.New(c, "job")
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			return e.Run(ctx, func(ctx context.Context, _ *election.Term) error { ask(ctx); stop(); return nil })
		},
		"Quorum": func(c *sqllock.Client, others []*sqllock.Client, ask func(context.Context)) error {
			clients := append([]*sqllock.Client{c}, others...)
			q, err := quorum.New(context.Background(), clients, &quorum.Options{Name: "q"})
			if err != nil {
				return err
			}
			lock, err := q.Acquire(context.Background(), "job")
			if err == nil {
				ask(lock.Context())
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var clients []*sqllock.Client
				for range 3 {
					clients = append(clients, clientIn(t, sqllock.Options{}))
				}
				asked := false
				err := hold(clients[0], clients[1:], func(ctx context.Context) {
					asked = true
					done := ctx.Done()
					synctest.Wait() // for the heartbeat to sleep
					for _, c := range clients {
						sqllock.Age(c, sqllock.MaxTTL)
					}
					select {
					case <-done:
						t.Error("something else than the question ended the context")
					default:
					}
					select {
					case <-ctx.Done():
					default:
						t.Error("Done is open after the lease's end")
					}
					if err := ctx.Err(); !errors.Is(err, context.Canceled) {
						t.Errorf("Err after the lease's end: %v", err)
					}
					if cause := context.Cause(ctx); !errors.Is(cause, sqllock.ErrLost) {
						t.Errorf("cause: %v; want ErrLost", cause)
					}
				})
				if !asked || err != nil && !errors.Is(err, sqllock.ErrLost) {
					t.Errorf("asked: %t; error %v", asked, err)
				}
			})
		})
	}
}

// The log names the locks that were lost, and has durations that people can read, also as JSON.
func TestLogOfLostLocks(t *testing.T) {
	for locks, names := range map[int]int{1: 1, 10: 10, 37: 10} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			c := clientIn(t, sqllock.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil)), TTL: 90 * time.Second})
			for i := range locks {
				if _, err := c.Acquire(t.Context(), fmt.Sprintf("job/%02d", i)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			sqllock.Age(c, sqllock.MaxTTL)
			time.Sleep(time.Minute)
			synctest.Wait()
			var line struct {
				Msg, TTL string
				Locks    []string
				Count    int
			}
			if err := json.Unmarshal(log.Bytes(), &line); err != nil {
				t.Fatalf("%v: %s", err, &log)
			}
			if line.Msg != "sqllock: locks lost" || line.Count != locks || line.TTL != "1m30s" ||
				len(line.Locks) != names ||
				line.Locks[0] != "job/00" || !strings.HasSuffix(line.Locks[names-1], fmt.Sprintf("%02d", names-1)) {
				t.Errorf("%d locks lost: %s", locks, &log)
			}
		})
	}
}
