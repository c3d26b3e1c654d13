package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
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

// A lock in a transaction is held until the commit, and no longer; who may not wait is told, and can go on.
func TestTxLock(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		c, other := client(t, target, sqllock.Options{}), client(t, target, sqllock.Options{})
		for name, end := range map[string]func(*sql.Tx) error{"commit": (*sql.Tx).Commit, "rollback": (*sql.Tx).Rollback} {
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
		mustRelease(t, mustTry(t, c, "commit")) // the lease lock of that name is another
		refusesTx(t, c, target)
	})
}

// refusesTx asks for what AcquireTx can't do.
func refusesTx(t *testing.T, c *sqllock.Client, target *open.Database) {
	t.Helper()
	tx := mustBegin(t, target)
	for what, err := range map[string]error{
		"nil":     c.AcquireTx(t.Context(), nil, "lock"),
		"no name": c.AcquireTx(t.Context(), tx, ""),
		"session": c.AcquireTx(t.Context(), tx, "lock", sqllock.Session()),
		"TTL":     c.AcquireTx(t.Context(), tx, "lock", sqllock.WithTTL(time.Second)),
	} {
		if !errors.Is(err, sqllock.ErrInvalid) {
			t.Errorf("AcquireTx with %s: %v; want ErrInvalid", what, err)
		}
	}
	if err := c.AcquireTx(t.Context(), tx, "lock"); err != nil {
		t.Errorf("AcquireTx after what was refused: %v", err)
	}
}

// Two transactions that wait for each other: the server ends one of them, and the other gets its lock.
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
		answers := make(chan error, 2)
		for tx, name := range map[*sql.Tx]string{a: "two", b: "one"} {
			go func() {
				err := c.AcquireTx(t.Context(), tx, name)
				if err != nil {
					_ = tx.Rollback()
				}
				answers <- err
			}()
		}
		first, second := <-answers, <-answers
		if first == nil {
			first, second = second, first
		}
		if !errors.Is(first, sqllock.ErrDeadlock) || second != nil {
			t.Errorf("%v and %v; want one ErrDeadlock", first, second)
		}
	})
}

// Transactions that read, compute and write under a lock of theirs lose nothing, on each engine's default isolation:
// what is read after AcquireTx is what the one before has committed.
func TestTxLockContention(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		crowd(t, connect(t, database(t, s)))
	})
}

// crowd lets goroutines of this process count under transaction locks, and after them workers under session locks.
func crowd(t *testing.T, target *open.Database, workers ...*process) {
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
		t.Errorf("%d additions of %d are there", n, want)
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

// Who gives up waiting is told both, and once the transaction is rolled back nothing of it is left.
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
		within, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := c.AcquireTx(within, next, "lock"); err != nil {
			t.Errorf("after who gave up: %v", err)
		}
		_ = next.Rollback()
	})
}
