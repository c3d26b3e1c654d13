package integration

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// The transactions of libraries, in the form in which they provide a *sql.Tx: sqlx and bun embed
// it, GORM embeds it as an interface, and ent has only methods.
type (
	sqlxTx struct{ *sql.Tx }
	bunTx  struct { // its own methods don't send the arguments that they get
		_ string // bun keeps other fields before the transaction
		*sql.Tx
	}
	gormTx   struct{ GormPool } // likewise
	GormPool interface {
		dialect.Querier
		Commit() error
		Rollback() error
	}
	entTx struct{ tx *sql.Tx }
	pool  struct{ *sql.DB }
)

func (bunTx) ExecContext(context.Context, string, ...any) (sql.Result, error) { panic("not as it is") }

func (bunTx) QueryContext(context.Context, string, ...any) (*sql.Rows, error) { panic("not as it is") }

func (*gormTx) ExecContext(context.Context, string, ...any) (sql.Result, error) { panic("prepared") }

func (*gormTx) QueryContext(context.Context, string, ...any) (*sql.Rows, error) { panic("prepared") }
func (t entTx) Commit() error                                                   { panic("ended") }
func (t entTx) Rollback() error                                                 { panic("ended") }

func (t entTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, query, args...)
}

func (t entTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, query, args...)
}

// narrowTx implements the contract's own interface, and of database/sql's only what the compiler
// requires.
type narrowTx struct{ dialect.Tx }

func (narrowTx) ExecContext(context.Context, string, ...any) (sql.Result, error) { panic("not called") }

func TestAnyTransaction(t *testing.T) {
	db, c := effects(t)
	for what, wrap := range map[string]func(*sql.Tx) sqllock.Tx{
		"database/sql":    func(tx *sql.Tx) sqllock.Tx { return tx },
		"like sqlx":       func(tx *sql.Tx) sqllock.Tx { return &sqlxTx{tx} },
		"like bun":        func(tx *sql.Tx) sqllock.Tx { return bunTx{Tx: tx} },
		"like GORM":       func(tx *sql.Tx) sqllock.Tx { return &gormTx{tx} },
		"a wrapper of it": func(tx *sql.Tx) sqllock.Tx { return &struct{ GormPool }{&gormTx{tx}} },
		"like ent":        func(tx *sql.Tx) sqllock.Tx { return entTx{tx} },
		"the contract's":  func(tx *sql.Tx) sqllock.Tx { return narrowTx{dialect.SQL(tx)} },
		"by dialect.SQL":  func(tx *sql.Tx) sqllock.Tx { return dialect.SQL(tx).(sqllock.Tx) },
	} {
		t.Run(what, func(t *testing.T) {
			lock, err := c.Acquire(t.Context(), what)
			if err != nil {
				t.Fatal(err)
			}
			tx := begin(t, db)
			in := wrap(tx)
			if err := lock.Guard(t.Context(), in); err != nil {
				t.Error("Guard:", err)
			}
			if err := c.AcquireTx(t.Context(), in, what); err != nil {
				t.Error("AcquireTx:", err)
			}
			out, err := once.DoTx(t.Context(), c, in, what, pay(tx))
			wantPaid(t, out, err, false)
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
			if err := lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A value that isn't a transaction is refused before any database call, by an error that says what
// to pass.
func TestNoTransaction(t *testing.T) {
	db, c := effects(t)
	lock, err := c.Acquire(t.Context(), "lock")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for what, test := range map[string]struct {
		tx   sqllock.Tx
		says string
	}{
		"nil":                      {nil, "is nil"},
		"a nil *sql.Tx":            {(*sql.Tx)(nil), "is nil"},
		"a nil wrapper":            {(*sqlxTx)(nil), "is nil"},
		"a wrapper of nil":         {bunTx{}, "is nil"},
		"a pool":                   {db, "a *sql.DB is not a transaction"},
		"a wrapped pool":           {&pool{db}, "tx.Statement.ConnPool"},
		"a connection":             {conn, "a *sql.Conn is not a transaction"},
		"a transaction half as it": {halfTx{}, "has no method QueryContext"},
	} {
		for call, err := range map[string]error{
			"Guard":        lock.Guard(t.Context(), test.tx),
			"AcquireTx":    c.AcquireTx(t.Context(), test.tx, "lock"),
			"TryAcquireTx": c.TryAcquireTx(t.Context(), test.tx, "lock"),
			"once.DoTx": func() error {
				nothing := func(context.Context) ([]byte, error) { return nil, nil }
				_, err := once.DoTx(t.Context(), c, test.tx, "key", nothing)
				return err
			}(),
		} {
			if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s of %s: %v; want %v that says %q", call, what, err, sqllock.ErrInvalid, test.says)
			}
		}
	}
}

type halfTx struct{}

func (halfTx) ExecContext(context.Context, string, ...any) (sql.Result, error) { panic("called") }
func (halfTx) Commit() error                                                   { panic("ended") }
func (halfTx) Rollback() error                                                 { panic("ended") }
