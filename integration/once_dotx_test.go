package integration

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// effects returns a database with an account, and a Client on it.
func effects(t *testing.T) (*sql.DB, *sqllock.Client) {
	t.Helper()
	db, err := sqlite.Open("sqlite://" + filepath.Join(t.TempDir(), "a.db") + "?_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := migrations.Up(t.Context(), db, sqlitemigrations.Engine); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"CREATE TABLE account (balance INTEGER NOT NULL)", "INSERT INTO account VALUES (0)"} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	return db, payer(t, db, nil, sqllock.Options{})
}

// wantPaid checks the results of once.DoTx.
func wantPaid(t *testing.T, out once.Outcome, err error, replayed bool) {
	t.Helper()
	if err != nil || string(out.Result) != "paid" || out.Replayed != replayed || out.At.IsZero() {
		t.Errorf("DoTx = %q, replayed %t, at %s, %v; want %q, replayed %t",
			out.Result, out.Replayed, out.At, err, "paid", replayed)
	}
}

func TestOnceDoTx(t *testing.T) {
	db, c := effects(t)
	for i, replayed := range []bool{false, true, true} {
		tx := begin(t, db)
		out, err := once.DoTx(t.Context(), c, tx, "message/1", pay(tx))
		wantPaid(t, out, err, replayed)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if n := balance(t, db); n != 1 {
			t.Errorf("%d: the balance is %d", i, n)
		}
	}
	out, err := once.Do(t.Context(), c, "message/1", func(context.Context, *sqllock.Lock) ([]byte, error) {
		t.Error("the work was done again")
		return nil, nil
	})
	wantPaid(t, out, err, true)
}

// An outcome that isn't committed isn't remembered, nor is one that is committed in spite of an
// error.
func TestOnceDoTxUndone(t *testing.T) {
	db, c := effects(t)
	tx := begin(t, db)
	out, err := once.DoTx(t.Context(), c, tx, "key", pay(tx))
	wantPaid(t, out, err, false)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	tx = begin(t, db)
	_, err = once.DoTx(t.Context(), c, tx, "key", func(context.Context) ([]byte, error) { return nil, errBroken })
	if !errors.Is(err, errBroken) || err.Error() != errBroken.Error() {
		t.Errorf("DoTx of work that fails: %v; want its own error", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	tx = begin(t, db)
	out, err = once.DoTx(t.Context(), c, tx, "key", pay(tx))
	wantPaid(t, out, err, false)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := balance(t, db); n != 1 {
		t.Errorf("the balance is %d", n)
	}
}

func TestOnceDoTxRefused(t *testing.T) {
	db, c := effects(t)
	tx := begin(t, db)
	never := func(context.Context) ([]byte, error) { t.Error("the work was done"); return nil, nil }
	for what, test := range map[string]struct {
		tx   *sql.Tx
		key  string
		fn   func(context.Context) ([]byte, error)
		opts []once.TxOption
	}{
		"no transaction": {nil, "key", never, nil},
		"no key":         {tx, "", never, nil},
		"an odd key":     {tx, "a\x7f", never, nil},
		"no function":    {tx, "key", nil, nil},
		"a nil option":   {tx, "key", never, []once.TxOption{nil}},
		"no time":        {tx, "key", never, []once.TxOption{once.Keep(0)}},
		"a long result": {tx, "long", func(context.Context) ([]byte, error) {
			return bytes.Repeat([]byte("x"), once.MaxResultBytes+1), nil
		}, nil},
		"a savepoint undone": {tx, "undone", func(ctx context.Context) ([]byte, error) {
			_, err := tx.ExecContext(ctx, "DELETE FROM sqllock_outcomes")
			return nil, err
		}, nil},
	} {
		_, err := once.DoTx(t.Context(), c, test.tx, test.key, test.fn, test.opts...)
		if !errors.Is(err, sqllock.ErrInvalid) {
			t.Errorf("%s: error is %v; want %v", what, err, sqllock.ErrInvalid)
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	_, err := once.DoTx(t.Context(), c, tx, "key", never)
	if !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("a transaction that has ended: error is %v; want %v", err, sql.ErrTxDone)
	}

	failed := c.Close(context.Background())
	_, err = once.DoTx(t.Context(), c, begin(t, db), "key", never)
	if err = errors.Join(failed, err); !errors.Is(err, sqllock.ErrClosed) {
		t.Errorf("closed: error is %v; want %v", err, sqllock.ErrClosed)
	}
}

// If a transaction has read before, and can't write any more because another one has written, the
// error says what to do.
func TestOnceDoTxBeginAgain(t *testing.T) {
	db, c := effects(t)
	var file string
	if err := db.QueryRow("SELECT file FROM pragma_database_list").Scan(&file); err != nil {
		t.Fatal(err)
	}
	deferred, err := sql.Open("sqlite", file) // its transactions begin as readers
	if err != nil {
		t.Fatal(err)
	}
	defer deferred.Close()
	tx := begin(t, deferred)
	var n int
	if err := tx.QueryRow("SELECT balance FROM account").Scan(&n); err != nil {
		t.Fatal(err)
	}
	other := begin(t, db)
	out, err := once.DoTx(t.Context(), c, other, "key", pay(other))
	wantPaid(t, out, err, false)
	if err := other.Commit(); err != nil {
		t.Fatal(err)
	}
	_, err = once.DoTx(t.Context(), c, tx, "key", pay(tx))
	if !errors.Is(err, sqllock.ErrRetryTx) {
		t.Errorf("stale: error is %v; want %v", err, sqllock.ErrRetryTx)
	}
	t.Log(err)
}
