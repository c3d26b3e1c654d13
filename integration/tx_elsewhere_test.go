package integration

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// TestGuardElsewhere passes Guard a transaction in another database, or in another schema, that has
// sqllock's tables too. The error says where the transaction is.
func TestGuardElsewhere(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		here, there := connect(t, database(t, s)), connect(t, database(t, s))
		texts := []string{"isn't in the lock's database"}
		guardElsewhere(t, client(t, here, sqllock.Options{}), there.DB.BeginTx, texts...)
		if strings.HasPrefix(s.Engine, "postgres") {
			url := database(t, s)
			execute(t, connect(t, url), "CREATE SCHEMA apart")
			apart := withParameters(url, "search_path=apart")
			prepare(t, apart)
			c := client(t, connect(t, url), sqllock.Options{})
			guardElsewhere(t, c, connect(t, apart).DB.BeginTx, append(texts, "schema apart")...)
		}
	})
}

func guardElsewhere(
	t *testing.T, c *sqllock.Client, begin func(context.Context, *sql.TxOptions) (*sql.Tx, error), texts ...string,
) {
	t.Helper()
	lock := mustTry(t, c, "elsewhere")
	defer mustRelease(t, lock)
	tx, err := begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	err = lock.Guard(t.Context(), tx)
	if !errors.Is(err, sqllock.ErrInvalid) {
		t.Errorf("%v; want ErrInvalid", err)
	}
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want it to contain %q", err, text)
		}
	}
	if lock.Context().Err() != nil {
		t.Error("the failed Guard has ended the lock's context")
	}
}

// TestTxLockAfterSavepoint documents whether a lock that was taken after a savepoint survives the
// rollback to it. That depends on the server: InnoDB keeps the lock, unless its transaction begins
// after the savepoint.
func TestTxLockAfterSavepoint(t *testing.T) {
	for engine, keeps := range map[string]bool{"postgres15": false, "mysql": true, "mariadb": true} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			target := connect(t, database(t, servers.Start(t, engine)))
			c := client(t, target, sqllock.Options{})
			for _, begun := range []bool{true, false} {
				tx := mustBegin(t, target)
				if begun {
					if err := c.AcquireTx(t.Context(), tx, "before"); err != nil {
						t.Fatal(err)
					}
				}
				inTx(t, tx, "SAVEPOINT earlier")
				if err := c.AcquireTx(t.Context(), tx, "after"); err != nil {
					t.Fatal(err)
				}
				inTx(t, tx, "ROLLBACK TO SAVEPOINT earlier")
				rival := mustBegin(t, target)
				err := c.TryAcquireTx(t.Context(), rival, "after")
				if got := errors.Is(err, sqllock.ErrNotAcquired); got != (keeps && begun) || err != nil && !got {
					t.Errorf("kept %t (%v), with something done before the savepoint %t", got, err, begun)
				}
				if err := errors.Join(tx.Rollback(), rival.Rollback()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func inTx(t *testing.T, tx *sql.Tx, statement string) {
	t.Helper()
	if _, err := tx.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
