package integration

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

var errBroken = errors.New("broken")

// payer returns a Client on db with that name, or on d if there is one.
func payer(t *testing.T, db *sql.DB, d dialect.Dialect, options sqllock.Options) *sqllock.Client {
	t.Helper()
	if d == nil {
		d = sqlite.New(db)
	}
	return client(t, &open.Database{Dialect: d, DB: db}, options)
}

func balance(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow("SELECT balance FROM account").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// pay returns work that has an effect in the transaction.
func pay(tx *sql.Tx) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		_, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + 1")
		return []byte("paid"), err
	}
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

// payers returns two Clients on one database. Its transactions begin as readers, so that the other
// Client can write while a transaction is open that hasn't written. A debt is checked at the
// commit.
func payers(t *testing.T) (db *sql.DB, ours, other *sqllock.Client) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "a.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := migrations.Up(t.Context(), db, sqlitemigrations.Engine); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"CREATE TABLE account (balance INTEGER NOT NULL)", "INSERT INTO account VALUES (0)",
		"CREATE TABLE debt (id INTEGER PRIMARY KEY, of INTEGER REFERENCES debt DEFERRABLE INITIALLY DEFERRED)",
	} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	return db, payer(t, db, nil, sqllock.Options{}), payer(t, db, nil, sqllock.Options{})
}

func TestDoTx(t *testing.T) {
	db, ours, other := payers(t)
	err := ours.DoTx(t.Context(), "account", func(ctx context.Context, tx *sql.Tx) error {
		mustBeHeld(t, other, "account")
		_, err := pay(tx)(ctx)
		return err
	})
	if n := balance(t, db); err != nil || n != 1 {
		t.Errorf("DoTx: %v; the balance is %d", err, n)
	}
	mustRelease(t, mustTry(t, other, "account"))
}

// After an error nothing is committed, and the lock is free.
func TestDoTxUndone(t *testing.T) {
	db, ours, other := payers(t)
	ctx, cancel := context.WithCancel(t.Context())
	for what, test := range map[string]struct {
		fn   func(ctx context.Context, tx *sql.Tx) error
		want error // nil for any other error
		says string
	}{
		"fn fails": {func(ctx context.Context, tx *sql.Tx) error {
			_, err := pay(tx)(ctx)
			return errors.Join(err, errBroken)
		}, errBroken, errBroken.Error()},
		"the lock is lost": {func(ctx context.Context, tx *sql.Tx) error {
			info, err := other.Inspect(ctx, "account")
			if err == nil {
				_, err = other.Break(ctx, "account", info.Fence)
			}
			return err
		}, sqllock.ErrLost, "no longer names"},
		"fn commits": {
			func(_ context.Context, tx *sql.Tx) error { return tx.Commit() },
			sqllock.ErrInvalid, "has ended the transaction",
		},
		"the commit is refused": {func(ctx context.Context, tx *sql.Tx) error {
			if _, err := pay(tx)(ctx); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO debt VALUES (1, 2)")
			return err
		}, nil, "committing under lock"},
		"another has written since": {func(ctx context.Context, tx *sql.Tx) error {
			var n int
			if err := tx.QueryRowContext(ctx, "SELECT balance FROM account").Scan(&n); err != nil {
				return err
			}
			_, err := db.ExecContext(ctx, "INSERT INTO debt VALUES (3, NULL)")
			return err
		}, sqllock.ErrRetryTx, "begin it again"},
		"ctx ends": {func(ctx context.Context, tx *sql.Tx) error {
			_, err := pay(tx)(ctx)
			cancel()
			return err
		}, context.Canceled, "canceled"},
	} {
		err := ours.DoTx(ctx, "account", test.fn)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want %v that says %q", what, err, test.want, test.says)
		}
		if n := balance(t, db); n != 0 {
			t.Errorf("%s: the balance is %d", what, n)
		}
		mustRelease(t, mustTry(t, other, "account"))
		if ctx.Err() != nil {
			ctx, cancel = context.WithCancel(t.Context()) //nolint:fatcontext // the next one's
		}
	}
	cancel()
	func() {
		defer func() { _ = recover() }()
		_ = ours.DoTx(t.Context(), "account", func(ctx context.Context, tx *sql.Tx) error {
			_, _ = pay(tx)(ctx)
			panic("broken")
		})
	}()
	if n := balance(t, db); n != 0 {
		t.Errorf("fn panics: the balance is %d", n)
	}
	mustRelease(t, mustTry(t, other, "account"))
}

// faulty is a dialect that behaves differently at one point.
type faulty struct {
	*sqlite.Dialect
	afterGuard func(tx dialect.Tx)
	renewed    func() bool // reports whether leases can be renewed; nil for the real result
	released   bool        // if false, a release reports that another holds the lock
}

func (d *faulty) Guard(ctx context.Context, tx dialect.Tx, claims []dialect.Claim) ([]bool, error) {
	ours, err := d.Dialect.Guard(ctx, tx, claims)
	d.afterGuard(tx)
	return ours, err
}

func (d *faulty) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	if d.renewed != nil && !d.renewed() {
		return make([]bool, len(ids)), nil
	}
	return d.Dialect.RenewLeases(ctx, ids)
}

func (d *faulty) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if !d.released {
		return make([]bool, len(claims)), nil
	}
	return d.Dialect.Release(ctx, claims)
}

// What is committed is reported as done, whatever happens to the lock after the guard.
func TestDoTxAfterGuard(t *testing.T) {
	db, _, _ := payers(t)
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var under context.Context
	var lose atomic.Bool
	for what, d := range map[string]*faulty{
		"the release fails": {afterGuard: func(dialect.Tx) {}},
		"the lease is lost before the commit": {
			released: true, renewed: func() bool { return !lose.Load() },
			afterGuard: func(tx dialect.Tx) {
				lose.Store(true)
				<-under.Done()
				for range 100 { // if the transaction ended with the lock, that would show within a moment
					if _, err := tx.Exec(context.Background(), "SELECT 1"); err != nil {
						t.Error("the transaction has ended with the lock:", err)
						return
					}
					time.Sleep(time.Millisecond)
				}
			},
		},
	} {
		d.Dialect = sqlite.New(db)
		t.Run(what, func(t *testing.T) {
			before := balance(t, db)
			c := payer(t, db, d, sqllock.Options{Logger: logger})
			err := c.DoTx(t.Context(), what, func(ctx context.Context, tx *sql.Tx) error {
				under = ctx //nolint:fatcontext // its end is waited for
				_, err := pay(tx)(ctx)
				return err
			}, sqllock.WithTTL(sqllock.MinTTL))
			if n := balance(t, db); err != nil || n != before+1 {
				t.Errorf("%v; the balance went from %d to %d", err, before, n)
			}
		})
	}
	if !strings.Contains(log.String(), "couldn't be released") {
		t.Errorf("the log: %s", &log)
	}
}
