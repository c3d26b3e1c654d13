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
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// coded is an error with an SQLSTATE, of any driver, such as lib/pq.
type coded string

func (c coded) Error() string    { return "refused" }
func (c coded) SQLState() string { return string(c) }

// unsent is an error with which pgx reports that nothing was sent.
type unsent struct{ error }

func (unsent) SafeToRetry() bool { return true }

var byCode = map[string]dialect.Class{
	"40001": dialect.ClassTransient, "40P01": dialect.ClassTransient, "55P03": dialect.ClassTransient,
	"57014": dialect.ClassTransient,
	"53300": dialect.ClassTransient, "53100": dialect.ClassTransient, "57P03": dialect.ClassTransient,
	"57P05": dialect.ClassTransient,
	"08001": dialect.ClassTransient, "08004": dialect.ClassTransient, "26000": dialect.ClassTransient,
	"25P03": dialect.ClassTransient,

	"40003": dialect.ClassUnknown, "57P01": dialect.ClassUnknown, "57P02": dialect.ClassUnknown,
	"08006": dialect.ClassUnknown,
	"08007": dialect.ClassUnknown, "08P01": dialect.ClassUnknown, "XX000": dialect.ClassUnknown,
	"58000": dialect.ClassUnknown,
	"":      dialect.ClassUnknown, "4": dialect.ClassUnknown, "400010": dialect.ClassUnknown,

	"42P01": dialect.ClassNoSchema, "42703": dialect.ClassNoSchema, "25006": dialect.ClassReadOnly,

	"23505": dialect.ClassPermanent, "23514": dialect.ClassPermanent, "22003": dialect.ClassPermanent,
	"42501": dialect.ClassPermanent,
	"42601": dialect.ClassPermanent, "28P01": dialect.ClassPermanent, "3D000": dialect.ClassPermanent,
	"25P02": dialect.ClassPermanent,
	"0A000": dialect.ClassPermanent, "57P04": dialect.ClassPermanent,
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
		"25P04": dialect.ClassUnknown,   // transaction_timeout: not in classifyState, and it ended the session
		"53300": dialect.ClassTransient, // in classifyState, so the severity doesn't matter
		"28P01": dialect.ClassPermanent,
	} {
		err := &pgconn.PgError{Code: code, SeverityUnlocalized: "FATAL", Severity: "FATAL"}
		if got := d.Classify(err); got != want {
			t.Errorf("FATAL %s: %s, want %s", code, got, want)
		}
	}
}

func TestClassifyByPlace(t *testing.T) {
	withPgx := New(stdlib.OpenDB(mustParse(t, "postgres://nobody@127.0.0.1:1/x")))
	t.Cleanup(func() { withPgx.db.Close() })
	withOther := New(sql.OpenDB(engine.NoConnector{}))
	t.Cleanup(func() { withOther.db.Close() })

	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	cut := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	_, badURL := pgconn.ParseConfig("postgres://a:b@localhost:x/")
	if badURL == nil {
		t.Fatal("pgx accepts a port of letters")
	}
	for _, c := range []struct {
		err        error
		pgx, other dialect.Class
	}{
		{nil, dialect.ClassUnknown, dialect.ClassUnknown},
		{errors.New("conn closed"), dialect.ClassUnknown, dialect.ClassUnknown}, // a message is no evidence
		{context.Canceled, dialect.ClassUnknown, dialect.ClassUnknown},
		{context.DeadlineExceeded, dialect.ClassUnknown, dialect.ClassUnknown},
		{io.EOF, dialect.ClassUnknown, dialect.ClassUnknown},
		{io.ErrUnexpectedEOF, dialect.ClassUnknown, dialect.ClassUnknown},
		{cut, dialect.ClassUnknown, dialect.ClassUnknown},
		{refused, dialect.ClassTransient, dialect.ClassUnknown},
		{unsent{cut}, dialect.ClassTransient, dialect.ClassUnknown},
		{driver.ErrBadConn, dialect.ClassTransient, dialect.ClassUnknown},
		{coded("40001"), dialect.ClassTransient, dialect.ClassUnknown},
		{coded("25006"), dialect.ClassReadOnly, dialect.ClassReadOnly},
		{coded("42P01"), dialect.ClassNoSchema, dialect.ClassNoSchema},
		{sql.ErrTxDone, dialect.ClassPermanent, dialect.ClassPermanent},
		{sql.ErrConnDone, dialect.ClassPermanent, dialect.ClassPermanent},
		{fmt.Errorf("%w: slot", dialect.ErrInvalid), dialect.ClassPermanent, dialect.ClassPermanent},
		{dialect.ErrUnsupported, dialect.ClassPermanent, dialect.ClassPermanent},
		{badURL, dialect.ClassPermanent, dialect.ClassPermanent},
	} {
		for err := range wrappings(c.err) {
			if got := withPgx.Classify(err); got != c.pgx {
				t.Errorf("pgx: %v: %s, want %s", err, got, c.pgx)
			}
			if got := withOther.Classify(err); got != c.other {
				t.Errorf("another driver: %v: %s, want %s", err, got, c.other)
			}
		}
	}
}

// The errors are real: from a port where nobody listens, and from a pool that is closed.
func TestClassifyWithoutServer(t *testing.T) {
	db := stdlib.OpenDB(mustParse(t, "postgres://nobody@127.0.0.1:1/x?connect_timeout=5"))
	d := New(db)
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.ClassTransient {
		t.Errorf("nobody listens: %v (class %s)", err, d.Classify(err))
	}
	db.Close()
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.ClassPermanent {
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
			t.Fatalf("the class %s has no name", s)
		}
		for wrapped := range wrappings(err) {
			if got := d.Classify(wrapped); got != want {
				t.Errorf("the class is %s, and when wrapped %s", want, got)
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

// wrappings yields err as it is, and wrapped in all the ways in which a caller may get it.
func wrappings(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		if !yield(err) || err == nil {
			return
		}
		_ = yield(fmt.Errorf("postgres: acquire: %w", err)) &&
			yield(errors.Join(errors.New("another"), err)) &&
			yield(fmt.Errorf("%w, and %w", errors.New("another"), fmt.Errorf("get: %w", err)))
	}
}
