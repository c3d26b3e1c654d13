package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

func mustBegin(t testing.TB, target *open.Database) *sql.Tx {
	t.Helper()
	tx, err := target.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// TestTxLock checks that a lock in a transaction is held until the transaction ends, and no longer.
// A caller that doesn't want to wait gets an error and can continue its transaction.
func TestTxLock(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		c, other := client(t, target, sqllock.Options{}), client(t, target, sqllock.Options{})
		ends := map[string]func(*sql.Tx) error{"commit": (*sql.Tx).Commit, "rollback": (*sql.Tx).Rollback}
		for name, end := range ends {
			tx, rival := mustBegin(t, target), mustBegin(t, target)
			if err := c.AcquireTx(t.Context(), tx, name); err != nil {
				t.Fatal(err)
			}
			if err := other.TryAcquireTx(t.Context(), rival, name); !errors.Is(err, sqllock.ErrNotAcquired) {
				t.Errorf("TryAcquireTx of a lock that is held: %v; want ErrNotAcquired", err)
			}
			waiting := make(chan error, 1)
			go func() { waiting <- other.AcquireTx(t.Context(), rival, name) }()
			select {
			case err := <-waiting:
				t.Errorf("AcquireTx didn't wait: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			if err := end(tx); err != nil {
				t.Error(err)
			}
			if err := <-waiting; err != nil {
				t.Errorf("AcquireTx after the %s: %v", name, err)
			}
			if err := rival.Commit(); err != nil {
				t.Error(err)
			}
		}
		mustRelease(t, mustTry(t, c, "commit")) // a lease lock of the same name is another lock
		refusesTx(t, c, target)
	})
}

// refusesTx checks that AcquireTx refuses invalid arguments, and works after that.
func refusesTx(t *testing.T, c *sqllock.Client, target *open.Database) {
	t.Helper()
	tx := mustBegin(t, target)
	for what, err := range map[string]error{
		"nil":     c.AcquireTx(t.Context(), nil, "lock"),
		"no name": c.AcquireTx(t.Context(), tx, ""),
	} {
		if !errors.Is(err, sqllock.ErrInvalid) {
			t.Errorf("AcquireTx with %s: %v; want ErrInvalid", what, err)
		}
	}
	if err := c.AcquireTx(t.Context(), tx, "lock"); err != nil {
		t.Errorf("AcquireTx after refused calls: %v", err)
	}
}

// TestTxDeadlock has two transactions that wait for each other: the server ends one of them, and
// the other gets its lock.
func TestTxDeadlock(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		c := client(t, target, sqllock.Options{})
		a, b := mustBegin(t, target), mustBegin(t, target)
		for tx, name := range map[*sql.Tx]string{a: "one", b: "two"} {
			if err := c.AcquireTx(t.Context(), tx, name); err != nil {
				t.Fatal(err)
			}
		}
		results := make(chan error, 2)
		for tx, name := range map[*sql.Tx]string{a: "two", b: "one"} {
			go func() {
				err := c.AcquireTx(t.Context(), tx, name)
				if err != nil {
					_ = tx.Rollback()
				}
				results <- err
			}()
		}
		first, second := <-results, <-results
		if first == nil {
			first, second = second, first
		}
		if !errors.Is(first, sqllock.ErrDeadlock) || second != nil {
			t.Errorf("%v and %v; want one ErrDeadlock", first, second)
		}
	})
}

// TestTxLockContention checks that transactions that read, compute and write under their lock lose
// nothing, at each engine's default isolation level. What a transaction reads after AcquireTx is
// what the previous holder has committed.
func TestTxLockContention(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		contendInTx(t, connect(t, database(t, s)))
	})
}

// contendInTx lets goroutines of this process count under transaction locks, and after them workers
// under session locks.
func contendInTx(t *testing.T, target *open.Database, workers ...*process) {
	t.Helper()
	execute(t, target, "CREATE TABLE counter (n INT NOT NULL)", "INSERT INTO counter VALUES (0)")
	c := client(t, target, sqllock.Options{})
	const routines, each = 8, 25
	var group sync.WaitGroup
	for range routines {
		group.Go(func() {
			for range each {
				if err := addInTx(t.Context(), c, target.DB); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	countAll(t, workers, countArgs{Name: "counter", Routines: routines, Each: each / 5})
	want := routines * (each + len(workers)*(each/5))
	if n := scan[int](t, target, "SELECT n FROM counter"); n != want {
		t.Errorf("the counter is %d; want %d", n, want)
	}
}

func addInTx(ctx context.Context, c *sqllock.Client, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := c.AcquireTx(ctx, tx, "counter"); err != nil {
		return err
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT n FROM counter").Scan(&n); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE counter SET n = %d", n+1)); err != nil {
		return err
	}
	return tx.Commit()
}

// TestTxLockCancelled checks that a caller that gives up waiting gets both errors, and that nothing
// of it is left once its transaction is rolled back.
func TestTxLockCancelled(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		c := client(t, target, sqllock.Options{})
		tx, rival := mustBegin(t, target), mustBegin(t, target)
		if err := c.AcquireTx(t.Context(), tx, "lock"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := c.AcquireTx(ctx, rival, "lock")
		if !errors.Is(err, sqllock.ErrNotAcquired) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("AcquireTx: %v; want ErrNotAcquired and DeadlineExceeded", err)
		}
		_ = rival.Rollback()
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		next := mustBegin(t, target)
		within, cancel := context.WithTimeout(t.Context(), stepTimeout)
		defer cancel()
		if err := c.AcquireTx(within, next, "lock"); err != nil {
			t.Errorf("AcquireTx after the caller that gave up: %v", err)
		}
		_ = next.Rollback()
	})
}
