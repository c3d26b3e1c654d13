package sqllock_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// What can't work is refused before the lock is acquired.
func TestDoTxRefused(t *testing.T) {
	never := func(context.Context, *sql.Tx) error { t.Error("the work was done"); return nil }
	memory := client(t, sqllocktest.New(), "memory")
	onDB := client(t, testkit.WithDB{Dialect: sqllocktest.New(), Pool: testkit.NoDatabase()}, "on a database")
	wantErr(t, "no function", onDB.DoTx(t.Context(), "lock", nil), sqllock.ErrInvalid)
	wantErr(t, "no name", onDB.DoTx(t.Context(), "", never), sqllock.ErrInvalid)
	wantErr(t, "no database", memory.DoTx(t.Context(), "lock", never), sqllock.ErrUnsupported)
	pgx := client(t, onNone{sqllocktest.New()}, "pgx")
	wantErr(t, "no *sql.DB", pgx.DoTx(t.Context(), "lock", never), sqllock.ErrUnsupported)
}

// onNone is a dialect that could have an *sql.DB and has none.
type onNone struct{ dialect.Dialect }

func (onNone) DB() *sql.DB { return nil }
