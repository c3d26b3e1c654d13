package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// coded is an error of any driver with a code, lib/pq's for one.
type coded string

func (c coded) Error() string    { return "refused" }
func (c coded) SQLState() string { return string(c) }

// unsent is an error that pgx says came before anything was on the wire.
type unsent struct{ error }

func (unsent) SafeToRetry() bool { return true }

var byCode = map[string]dialect.Class{
	"40001": dialect.Transient, "40P01": dialect.Transient, "55P03": dialect.Transient, "57014": dialect.Transient,
	"53300": dialect.Transient, "53100": dialect.Transient, "57P03": dialect.Transient, "57P05": dialect.Transient,
	"08001": dialect.Transient, "08004": dialect.Transient, "26000": dialect.Transient, "25P03": dialect.Transient,

	"40003": dialect.Unknown, "57P01": dialect.Unknown, "57P02": dialect.Unknown, "08006": dialect.Unknown,
	"08007": dialect.Unknown, "08P01": dialect.Unknown, "XX000": dialect.Unknown, "58000": dialect.Unknown,
	"": dialect.Unknown, "4": dialect.Unknown, "400010": dialect.Unknown,

	"42P01": dialect.NoSchema, "42703": dialect.NoSchema, "25006": dialect.ReadOnly,

	"23505": dialect.Permanent, "23514": dialect.Permanent, "22003": dialect.Permanent, "42501": dialect.Permanent,
	"42601": dialect.Permanent, "28P01": dialect.Permanent, "3D000": dialect.Permanent, "25P02": dialect.Permanent,
	"0A000": dialect.Permanent, "57P04": dialect.Permanent,
}

func TestClassifyByCode(t *testing.T) {
	d := New(nil)
	for code, want := range byCode {
		for _, err := range []error{
			coded(code),
			&pgconn.PgError{Code: code, SeverityUnlocalized: "ERROR"},
			fmt.Errorf("postgres: acquire: %w", &pgconn.PgError{Code: code, Severity: "ERROR"}),
			errors.Join(errors.New("first"), coded(code)),
			fmt.Errorf("%w: %w", context.Canceled, coded(code)),
		} {
			if got := d.Classify(err); got != want {
				t.Errorf("%T %s: %s, want %s", err, code, got, want)
			}
		}
	}
}

func TestClassifyFatal(t *testing.T) {
	d := New(nil)
	for code, want := range map[string]dialect.Class{
		"25P04": dialect.Unknown,   // transaction_timeout: known to nobody here, and it ended the session
		"53300": dialect.Transient, // known, so the severity doesn't matter
		"28P01": dialect.Permanent,
	} {
		if got := d.Classify(&pgconn.PgError{Code: code, SeverityUnlocalized: "FATAL", Severity: "FATAL"}); got != want {
			t.Errorf("FATAL %s: %s, want %s", code, got, want)
		}
	}
}

func TestClassifyByPlace(t *testing.T) {
	withPgx := New(stdlib.OpenDB(mustParse(t, "postgres://nobody@127.0.0.1:1/x")))
	t.Cleanup(func() { withPgx.db.Close() })
	withOther := New(sql.OpenDB(engine.Nowhere{}))
	t.Cleanup(func() { withOther.db.Close() })

	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	cut := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	_, badURL := pgconn.ParseConfig("postgres://a:b@localhost:x/")
	if badURL == nil {
		t.Fatal("pgx takes a port of letters")
	}
	for _, c := range []struct {
		err          error
		pgx, another dialect.Class
	}{
		{nil, dialect.Unknown, dialect.Unknown},
		{errors.New("conn closed"), dialect.Unknown, dialect.Unknown}, // a message is no evidence
		{context.Canceled, dialect.Unknown, dialect.Unknown},
		{context.DeadlineExceeded, dialect.Unknown, dialect.Unknown},
		{io.EOF, dialect.Unknown, dialect.Unknown},
		{io.ErrUnexpectedEOF, dialect.Unknown, dialect.Unknown},
		{cut, dialect.Unknown, dialect.Unknown},
		{refused, dialect.Transient, dialect.Unknown},
		{unsent{cut}, dialect.Transient, dialect.Unknown},
		{driver.ErrBadConn, dialect.Transient, dialect.Unknown},
		{coded("40001"), dialect.Transient, dialect.Unknown},
		{coded("25006"), dialect.ReadOnly, dialect.ReadOnly},
		{coded("42P01"), dialect.NoSchema, dialect.NoSchema},
		{sql.ErrTxDone, dialect.Permanent, dialect.Permanent},
		{sql.ErrConnDone, dialect.Permanent, dialect.Permanent},
		{fmt.Errorf("%w: slot", dialect.ErrInvalid), dialect.Permanent, dialect.Permanent},
		{dialect.ErrUnsupported, dialect.Permanent, dialect.Permanent},
		{badURL, dialect.Permanent, dialect.Permanent},
	} {
		for err := range wrappings(c.err) {
			if got := withPgx.Classify(err); got != c.pgx {
				t.Errorf("pgx: %v: %s, want %s", err, got, c.pgx)
			}
			if got := withOther.Classify(err); got != c.another {
				t.Errorf("another driver: %v: %s, want %s", err, got, c.another)
			}
		}
	}
}

// Real errors, from a port where nobody listens and from a pool that is closed.
func TestClassifyWithoutServer(t *testing.T) {
	db := stdlib.OpenDB(mustParse(t, "postgres://nobody@127.0.0.1:1/x?connect_timeout=5"))
	d := New(db)
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.Transient {
		t.Errorf("nobody listens: %v (class %s)", err, d.Classify(err))
	}
	db.Close()
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.Permanent {
		t.Errorf("closed pool: %v (class %s)", err, d.Classify(err))
	}
}

func FuzzClassify(f *testing.F) {
	for code := range byCode {
		f.Add(code, "ERROR", byte(0))
		f.Add(code, "FATAL", byte(3))
	}
	d := New(nil)
	f.Fuzz(func(t *testing.T, code, severity string, kind byte) {
		var err error = &pgconn.PgError{Code: code, Severity: severity}
		switch kind % 4 {
		case 1:
			err = coded(code)
		case 2:
			err = unsent{errors.New(code)}
		case 3:
			err = errors.New(severity)
		}
		want := d.Classify(err)
		if s := want.String(); s == "" || s[0] == 'C' {
			t.Fatalf("class %s", s)
		}
		for wrapped := range wrappings(err) {
			if got := d.Classify(wrapped); got != want {
				t.Errorf("%s, and wrapped %s", want, got)
			}
		}
	})
}

func mustParse(t *testing.T, url string) pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return *config
}

// wrappings yields err as it is and in all the ways it may come back.
func wrappings(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		if !yield(err) || err == nil {
			return
		}
		_ = yield(fmt.Errorf("postgres: acquire: %w", err)) &&
			yield(errors.Join(errors.New("another"), err)) &&
			yield(fmt.Errorf("%w, and %w", errors.New("another"), fmt.Errorf("look: %w", err)))
	}
}
