package sqllock_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/sqllock"
)

// effects is a database with an account, and a Client on it.
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
	return db, client(t, sqlite.New(db), "a")
}

func balance(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow("SELECT balance FROM account").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// pay is work that has an effect in the transaction.
func pay(ctx context.Context, tx *sql.Tx) ([]byte, error) {
	_, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + 1")
	return []byte("paid"), err
}

func begin(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback() })
	return tx
}

func TestOnceTx(t *testing.T) {
	db, c := effects(t)
	for i, replayed := range []bool{false, true, true} {
		tx := begin(t, db)
		out, err := c.OnceTx(t.Context(), tx, "message/1", pay)
		wantOutcome(t, out, err, "paid", replayed)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if n := balance(t, db); n != 1 {
			t.Errorf("%d: the balance is %d", i, n)
		}
	}
	out, err := c.Once(t.Context(), "message/1", mustNotRun(t))
	wantOutcome(t, out, err, "paid", true)
}

// What isn't committed isn't remembered; what is committed in spite of an error isn't remembered either.
func TestOnceTxUndone(t *testing.T) {
	db, c := effects(t)
	tx := begin(t, db)
	out, err := c.OnceTx(t.Context(), tx, "key", pay)
	wantOutcome(t, out, err, "paid", false)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	tx = begin(t, db)
	_, err = c.OnceTx(t.Context(), tx, "key", func(context.Context, *sql.Tx) ([]byte, error) { return nil, errBroken })
	if !errors.Is(err, errBroken) || err.Error() != errBroken.Error() {
		t.Errorf("OnceTx of work that fails: %v; want its own error", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	tx = begin(t, db)
	out, err = c.OnceTx(t.Context(), tx, "key", pay)
	wantOutcome(t, out, err, "paid", false)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := balance(t, db); n != 1 {
		t.Errorf("the balance is %d", n)
	}
}

func TestOnceTxRefused(t *testing.T) {
	db, c := effects(t)
	tx := begin(t, db)
	never := func(context.Context, *sql.Tx) ([]byte, error) { t.Error("the work was done"); return nil, nil }
	for what, test := range map[string]struct {
		tx   *sql.Tx
		key  string
		fn   func(context.Context, *sql.Tx) ([]byte, error)
		opts []sqllock.OnceOption
	}{
		"no transaction": {nil, "key", never, nil},
		"no key":         {tx, "", never, nil},
		"an odd key":     {tx, "a\x7f", never, nil},
		"no function":    {tx, "key", nil, nil},
		"a nil option":   {tx, "key", never, []sqllock.OnceOption{nil}},
		"no time":        {tx, "key", never, []sqllock.OnceOption{sqllock.KeepOutcome(0)}},
		"failures":       {tx, "key", never, []sqllock.OnceOption{sqllock.RememberFailure()}},
		"a TTL":          {tx, "key", never, []sqllock.OnceOption{sqllock.OnceTTL(time.Second)}},
		"a long result": {tx, "long", func(context.Context, *sql.Tx) ([]byte, error) {
			return bytes.Repeat([]byte("x"), sqllock.MaxResultBytes+1), nil
		}, nil},
		"a savepoint undone": {tx, "undone", func(ctx context.Context, tx *sql.Tx) ([]byte, error) {
			_, err := tx.ExecContext(ctx, "DELETE FROM sqllock_outcomes")
			return nil, err
		}, nil},
	} {
		_, err := c.OnceTx(t.Context(), test.tx, test.key, test.fn, test.opts...)
		wantErr(t, what, err, sqllock.ErrInvalid)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	_, err := c.OnceTx(t.Context(), tx, "key", never)
	wantErr(t, "a transaction that has ended", err, sql.ErrTxDone)

	failed := c.Close(context.Background())
	_, err = c.OnceTx(t.Context(), begin(t, db), "key", never)
	wantErr(t, "closed", errors.Join(failed, err), sqllock.ErrClosed)
}

// A transaction that has read before, and can't become a writer any more since another has written, says what to do.
func TestOnceTxBeginAgain(t *testing.T) {
	db, c := effects(t)
	var file string
	if err := db.QueryRow("SELECT file FROM pragma_database_list").Scan(&file); err != nil {
		t.Fatal(err)
	}
	deferred, err := sql.Open("sqlite", file) // whose transactions begin as readers
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
	out, err := c.OnceTx(t.Context(), other, "key", pay)
	wantOutcome(t, out, err, "paid", false)
	if err := other.Commit(); err != nil {
		t.Fatal(err)
	}
	_, err = c.OnceTx(t.Context(), tx, "key", pay)
	wantErr(t, "stale", err, sqllock.ErrBeginAgain)
	t.Log(err)
}

func ExampleClient_OnceTx() {
	ctx := context.Background()
	db, done := database()
	defer done()
	locks := process(db, "consumer 1")
	defer locks.Close(ctx)

	consume := func(message string) (sqllock.Outcome, error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return sqllock.Outcome{}, err
		}
		defer tx.Rollback()
		out, err := locks.OnceTx(ctx, tx, "message/"+message, func(ctx context.Context, tx *sql.Tx) ([]byte, error) {
			_, err := tx.ExecContext(ctx, "INSERT INTO reports (day, fence) VALUES (?, 0)", message)
			return nil, err
		})
		if err != nil {
			return out, err
		}
		return out, tx.Commit()
	}
	for range 2 { // a message may be delivered twice
		out, err := consume("2026-03-01")
		fmt.Println("replayed:", out.Replayed, err)
	}
	// Output:
	// replayed: false <nil>
	// replayed: true <nil>
}

func ExampleClient_Once() {
	ctx := context.Background()
	db, done := database()
	defer done()
	locks, other := process(db, "worker 1"), process(db, "worker 2")
	defer locks.Close(ctx)
	defer other.Close(ctx)

	charge := func(ctx context.Context, lock *sqllock.Lock) ([]byte, error) {
		fmt.Println("charging") // somewhere else, with "order/42" as its idempotency key
		return []byte("receipt 7"), nil
	}
	for _, worker := range []*sqllock.Client{locks, other} {
		out, err := worker.Once(ctx, "order/42", charge)
		fmt.Println(string(out.Result), err)
	}
	// Output:
	// charging
	// receipt 7 <nil>
	// receipt 7 <nil>
}

func ExampleClient_RunOccurrence() {
	ctx := context.Background()
	db, done := database()
	defer done()
	scheduled := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC) // what the scheduler says, the same on every host
	for _, host := range []string{"host 1", "host 2", "host 3"} {
		locks := process(db, host)
		ran, err := locks.RunOccurrence(ctx, "report/nightly", scheduled, func(context.Context, *sqllock.Lock) error { return nil })
		fmt.Println(host, ran, err, locks.Close(ctx))
	}
	// Output:
	// host 1 true <nil> <nil>
	// host 2 false <nil> <nil>
	// host 3 false <nil> <nil>
}
