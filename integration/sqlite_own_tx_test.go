package integration

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// TestOwnTransaction checks that a call that writes doesn't wait for a transaction of its own
// goroutine, for which it would wait forever. It returns an error soon, whatever the ctx, that
// names the line at which the transaction began. Calls wait for transactions of other goroutines.
func TestOwnTransaction(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			url := servers.Start(t, "sqlite").Database(t) + "?_journal_mode=" + journal
			prepare(t, url)
			app := connect(t, url).DB // another pool of the same file
			db := connect(t, url)
			// The TTL is long enough for any pause of the machine.
			c := client(t, db, sqllock.Options{ReapEvery: -1, TTL: time.Hour})
			released, both, kept := lockOf(t, c, "released"), lockOf(t, c, "set"), lockOf(t, c, "kept")
			closing, err := sqllock.New(t.Context(), connect(t, url).Dialect,
				&sqllock.Options{ReapEvery: -1, TTL: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			lockOf(t, closing, "closing")
			set, err := c.AcquireAll(t.Context(), []string{"x", "y"})
			if err != nil {
				t.Fatal(err)
			}
			calls := map[string]func(ctx context.Context) error{
				"Acquire":    func(ctx context.Context) error { _, err := c.Acquire(ctx, "a"); return err },
				"TryAcquire": func(ctx context.Context) error { _, err := c.TryAcquire(ctx, "a"); return err },
				"AcquireAll": func(ctx context.Context) error {
					_, err := c.AcquireAll(ctx, []string{"a", "b"})
					return err
				},
				"shared": func(ctx context.Context) error {
					_, err := c.RWLock("s").AcquireShared(ctx)
					return err
				},
				"Do":               func(ctx context.Context) error { return c.Do(ctx, "a", nothing) },
				"Release":          released.Release,
				"Release of a set": set.Release,
				"Reap":             func(ctx context.Context) error { _, err := c.Reap(ctx); return err },
				"Break": func(ctx context.Context) error {
					_, err := c.Break(ctx, "kept", kept.Fence())
					return err
				},
				"Close": closing.Close,
				"New": func(ctx context.Context) error {
					_, err := sqllock.New(ctx, connect(t, url).Dialect, nil)
					return err
				},
				"once.Do": func(ctx context.Context) error {
					work := func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil }
					_, err := once.Do(ctx, c, "key", work)
					return err
				},
			}
			for what, call := range calls {
				for _, pool := range []*sql.DB{db.DB, app} {
					if strings.HasPrefix(what, "Release") || what == "Close" {
						if pool == app {
							continue // they can be called once only
						}
					}
					tx := writes(t, pool)
					ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
					err := call(ctx)
					if !errors.Is(err, sqllock.ErrDeadlock) || errors.Is(err, context.DeadlineExceeded) ||
						ctx.Err() != nil {
						t.Errorf("%s: %v; want an ErrDeadlock before its ctx ends", what, err)
					} else if !strings.Contains(err.Error(), "own_tx_test.go:") {
						t.Errorf("%s: %v; want the line at which the transaction began", what, err)
					}
					cancel()
					if err := tx.Rollback(); err != nil {
						t.Error(err)
					}
				}
			}
			for _, name := range []string{"released", "x", "y"} { // they are released in the background
				mustRelease(t, lockOf(t, c, name))
			}
			mustRelease(t, both)
			mustRelease(t, kept)
		})
	}
}

func nothing(context.Context, *sqllock.Lock) error { return nil }

func lockOf(t *testing.T, c *sqllock.Client, name string) *sqllock.Lock {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	lock, err := c.Acquire(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// writes begins a transaction and writes in it.
func writes(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "CREATE TABLE scratch (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	return tx
}

// TestOwnTransactionOfAnotherGoroutine checks that a call waits for another goroutine's
// transaction, however long it lasts. The error of a caller that gives up earlier names that
// transaction.
func TestOwnTransactionOfAnotherGoroutine(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			url := servers.Start(t, "sqlite").Database(t) + "?_journal_mode=" + journal
			prepare(t, url)
			db := connect(t, url)
			c := client(t, db, sqllock.Options{ReapEvery: -1, TTL: time.Hour})
			first := lockOf(t, c, "first") // its lease is open
			began, ended := make(chan struct{}), make(chan error)
			go func() {
				tx := writes(t, db.DB)
				close(began)
				time.Sleep(writesFor)
				ended <- tx.Commit()
			}()
			<-began
			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			both := make(chan error, 2)
			go func() { _, err := c.Acquire(short, "job"); both <- err }()
			go func() { _, err := c.TryAcquire(short, "another job"); both <- err }()
			for range cap(both) {
				err := <-both
				if !errors.Is(err, sqllock.ErrNotAcquired) || !errors.Is(err, context.DeadlineExceeded) ||
					!strings.Contains(err.Error(), "a transaction of this process that began at ") ||
					!strings.Contains(err.Error(), "own_tx_test.go:") {
					t.Errorf("a caller that gives up: %v", err)
				}
			}
			waits, cancel := context.WithTimeout(t.Context(), stepTimeout)
			defer cancel()
			lock, err := c.Acquire(waits, "job")
			if err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			mustRelease(t, lock)
			mustRelease(t, first)
		})
	}
}
