package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// TestOwnTx checks that a goroutine that has the write lock itself is refused when its transaction
// makes no progress for a moment. All others are not refused: a call beside the transaction of
// another goroutine, and a goroutine that has left its own transaction to another one.
func TestOwnTx(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// while the goroutine that began tx asks
		meanwhile func(t *testing.T, tx *sql.Tx, other *sql.DB)
		refused   bool
	}{
		"nothing happens": {func(*testing.T, *sql.Tx, *sql.DB) {}, true},
		"another goroutine commits it": {func(t *testing.T, tx *sql.Tx, _ *sql.DB) {
			must(t, tx.Commit())
		}, false},
		"another goroutine rolls it back": {func(t *testing.T, tx *sql.Tx, _ *sql.DB) {
			must(t, tx.Rollback())
		}, false},
		"another goroutine goes on with it": {func(t *testing.T, tx *sql.Tx, _ *sql.DB) {
			_, err := tx.ExecContext(t.Context(), "CREATE TABLE b (n INTEGER)")
			must(t, err)
		}, false},
		"another transaction reads": {func(t *testing.T, _ *sql.Tx, other *sql.DB) {
			must(t, inTx(t.Context(), other, func(tx *sql.Tx) error { return tx.QueryRow("SELECT 1").Scan(new(int)) }))
		}, true},
	} {
		for _, journal := range []string{"WAL", "DELETE"} {
			t.Run(name+"/"+journal, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "locks.db") + "?_journal_mode=" + journal
				synctest.Test(t, func(t *testing.T) {
					db, other := openHere(t, path), openHere(t, filepath.Join(t.TempDir(), "other.db"))
					d := New(openHere(t, path)) // another pool of the same file
					for _, pool := range []*Dialect{d, New(other)} {
						if err := pool.OwnTx(t.Context()); err != nil {
							t.Errorf("before: %v", err)
						}
					}
					tx, err := db.BeginTx(t.Context(), nil)
					must(t, err)
					defer tx.Rollback()
					_, _, line, _ := runtime.Caller(0)
					_, err = tx.ExecContext(t.Context(), "CREATE TABLE a (n INTEGER)")
					must(t, err)
					go func() {
						time.Sleep(ownTxGrace / 2)
						c.meanwhile(t, tx, other)
					}()
					began := time.Now()
					if err := New(other).OwnTx(t.Context()); err != nil || time.Since(began) > 0 {
						t.Errorf("in another file: %v after %s", err, time.Since(began))
					}
					err = d.OwnTx(t.Context())
					if errors.Is(err, dialect.ErrDeadlock) != c.refused || time.Since(began) > ownTxGrace {
						t.Errorf("%v after %s; want it refused: %t", err, time.Since(began), c.refused)
					}
					where := fmt.Sprintf("owntx_test.go:%d ", line-3)
					if c.refused && !strings.Contains(err.Error(), where) {
						t.Errorf("%v; want it to say that it began at %s", err, where)
					}
					beside := make(chan error)
					go func() { beside <- d.OwnTx(t.Context()) }()
					if err := <-beside; err != nil {
						t.Errorf("in another goroutine: %v", err)
					}
					tx.Rollback()
					if err := d.OwnTx(t.Context()); err != nil {
						t.Errorf("afterwards: %v", err)
					}
				})
			})
		}
	}
}

// openHere returns a pool that is closed when the bubble ends.
func openHere(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := Open("sqlite://" + path)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// TestOwnTxOfSeveralKinds checks that transactions that don't exclude other writers aren't tracked,
// and that none remains tracked after its end.
func TestOwnTxOfSeveralKinds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks.db")
	db := open(t, path)
	d := New(db)
	_, err := db.ExecContext(t.Context(),
		"CREATE TABLE a (n INTEGER PRIMARY KEY REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
	must(t, err)

	reader, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	must(t, err)
	if err := d.OwnTx(t.Context()); err != nil {
		t.Errorf("a transaction that only reads: %v", err)
	}
	must(t, reader.Rollback())

	ctx, cancel := context.WithCancel(t.Context())
	tx, err := db.BeginTx(ctx, nil)
	must(t, err)
	cancel() // database/sql rolls back
	for tx.QueryRowContext(t.Context(), "SELECT 1").Scan(new(int)) == nil {
		runtime.Gosched()
	}
	if err := d.OwnTx(t.Context()); err != nil {
		t.Errorf("a transaction whose ctx has ended: %v", err)
	}

	tx, err = db.BeginTx(t.Context(), nil)
	must(t, err)
	for _, statement := range []string{"PRAGMA defer_foreign_keys = ON", "PRAGMA foreign_keys"} {
		_, err = tx.ExecContext(t.Context(), statement)
		must(t, err)
	}
	must(t, tx.Commit())
	conn, err := db.Conn(t.Context())
	must(t, err)
	_ = conn.Raw(func(c any) error {
		_, err := c.(driver.ConnBeginTx).BeginTx(t.Context(), driver.TxOptions{})
		return errors.Join(err, driver.ErrBadConn) // so that database/sql closes it
	})
	if err := d.OwnTx(t.Context()); err != nil {
		t.Errorf("a transaction whose connection was closed: %v", err)
	}
}
