package mysql

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

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var byNumber = map[uint16]dialect.Class{
	1213: dialect.ClassTransient, 1205: dialect.ClassTransient, 1040: dialect.ClassTransient,
	1203: dialect.ClassTransient,
	3572: dialect.ClassTransient, 1020: dialect.ClassTransient, 1243: dialect.ClassTransient,
	1615: dialect.ClassTransient, 3101: dialect.ClassTransient, 4031: dialect.ClassTransient,

	1317: dialect.ClassUnknown, 3024: dialect.ClassUnknown, 1053: dialect.ClassUnknown,
	1180: dialect.ClassUnknown, 1927: dialect.ClassUnknown, 3032: dialect.ClassUnknown,
	1969: dialect.ClassUnknown, 1105: dialect.ClassUnknown, 9006: dialect.ClassUnknown, 1030: dialect.ClassUnknown,

	1146: dialect.ClassNoSchema, 1054: dialect.ClassNoSchema,
	1290: dialect.ClassReadOnly, 1836: dialect.ClassReadOnly, 1792: dialect.ClassReadOnly, 1874: dialect.ClassReadOnly,

	0: dialect.ClassPermanent, 1044: dialect.ClassPermanent, 1045: dialect.ClassPermanent, 1046: dialect.ClassPermanent,
	1049: dialect.ClassPermanent, 1062: dialect.ClassPermanent, 1064: dialect.ClassPermanent,
	1142: dialect.ClassPermanent,
	1264: dialect.ClassPermanent, 1406: dialect.ClassPermanent, 10_000: dialect.ClassPermanent,
	65_535: dialect.ClassPermanent,
}

func TestClassifyByNumber(t *testing.T) {
	d := New(nil)
	for number, want := range byNumber {
		for err := range wrappings(&mysql.MySQLError{Number: number, Message: "invalid connection"}) {
			if got := d.Classify(err); got != want {
				t.Errorf("%v: %s, want %s", err, got, want)
			}
		}
	}
}

// The same number means different things to different products. Before the product is known, a
// number about which they differ is Unknown.
func TestClassifyByProduct(t *testing.T) {
	const (
		permanent, transient, unknown = dialect.ClassPermanent, dialect.ClassTransient, dialect.ClassUnknown
	)
	for number, want := range map[uint16][products + 1]dialect.Class{
		// plain, TiDB, Vitess, not read yet
		1213: {transient, transient, transient, transient},
		1062: {permanent, permanent, permanent, permanent},
		// ProxySQL: no server; TiDB: the PD has timed out
		9001: {transient, unknown, permanent, unknown},
		9004: {transient, unknown, permanent, unknown},
		9003: {permanent, unknown, permanent, unknown},
		9007: {unknown, transient, permanent, unknown}, // TiDB: a write conflict
		8022: {permanent, transient, permanent, unknown},
		// Galera: not in the primary component; vtgate: no such session
		1047: {transient, transient, unknown, unknown},
		1815: {permanent, permanent, unknown, unknown},
	} {
		err := fmt.Errorf("mysql: acquire: %w", &mysql.MySQLError{Number: number})
		for p := range products {
			d := New(nil)
			d.server.Store(&flavour{product: p})
			if got := d.Classify(err); got != want[p] {
				t.Errorf("product %d, %d: %s, want %s", p, number, got, want[p])
			}
		}
		if got := New(nil).Classify(err); got != want[products] {
			t.Errorf("no product yet, %d: %s, want %s", number, got, want[products])
		}
	}
}

func TestClassifyByPlace(t *testing.T) {
	d := New(nil)
	cut := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, c := range []struct {
		err  error
		want dialect.Class
	}{
		{nil, dialect.ClassUnknown},
		{errors.New("dial tcp: connection refused"), dialect.ClassUnknown}, // a message is no evidence
		{context.Canceled, dialect.ClassUnknown},
		{context.DeadlineExceeded, dialect.ClassUnknown},
		{mysql.ErrInvalidConn, dialect.ClassUnknown},
		{mysql.ErrPktSync, dialect.ClassUnknown},
		{mysql.ErrMalformPkt, dialect.ClassUnknown},
		{io.EOF, dialect.ClassUnknown},
		{io.ErrUnexpectedEOF, dialect.ClassUnknown},
		{cut, dialect.ClassUnknown},
		{&net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}, dialect.ClassUnknown},
		{&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, dialect.ClassTransient},
		{&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host"}}, dialect.ClassTransient},
		{driver.ErrBadConn, dialect.ClassTransient},
		{engine.ErrBusy, dialect.ClassTransient},
		{errReadOnly, dialect.ClassReadOnly},
		{sql.ErrTxDone, dialect.ClassPermanent},
		{sql.ErrConnDone, dialect.ClassPermanent},
		{mysql.ErrPktTooLarge, dialect.ClassPermanent},
		{mysql.ErrNoTLS, dialect.ClassPermanent},
		{fmt.Errorf("%w: slot", dialect.ErrInvalid), dialect.ClassPermanent},
		{dialect.ErrUnsupported, dialect.ClassPermanent},
	} {
		for err := range wrappings(c.err) {
			if got := d.Classify(err); got != c.want {
				t.Errorf("%v: %s, want %s", err, got, c.want)
			}
		}
	}
}

// Real errors, from a port without a listener and from a pool that is closed.
func TestClassifyWithoutServer(t *testing.T) {
	db, err := Open("mysql://nobody@127.0.0.1:1/x")
	if err != nil {
		t.Fatal(err)
	}
	d := New(db)
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.ClassTransient {
		t.Errorf("no listener: %v (class %s)", err, d.Classify(err))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.ClassPermanent {
		t.Errorf("closed pool: %v (class %s)", err, d.Classify(err))
	}
}

func FuzzClassify(f *testing.F) {
	for number := range byNumber {
		f.Add(number, "message", byte(0))
	}
	f.Add(uint16(0), "dial", byte(1))
	f.Add(uint16(0), "read", byte(1))
	d := New(nil)
	f.Fuzz(func(t *testing.T, number uint16, text string, kind byte) {
		var err error = &mysql.MySQLError{Number: number, Message: text}
		switch kind % 3 {
		case 1:
			err = &net.OpError{Op: text, Err: errors.New(text)}
		case 2:
			err = errors.New(text)
		}
		want := d.Classify(err)
		if s := want.String(); s == "" || s[0] == 'C' {
			t.Fatalf("class %s", s)
		}
		if kind%3 == 2 && want != dialect.ClassUnknown {
			t.Errorf("%q is unheard of, and class %s", text, want)
		}
		for wrapped := range wrappings(err) {
			if got := d.Classify(wrapped); got != want {
				t.Errorf("%s, and wrapped %s", want, got)
			}
		}
	})
}

// wrappings yields err as it is and in all the ways it may be wrapped.
func wrappings(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		if !yield(err) || err == nil {
			return
		}
		_ = yield(fmt.Errorf("mysql: acquire: %w", err)) &&
			yield(errors.Join(errors.New("another"), err)) &&
			yield(fmt.Errorf("%w, and %w", errors.New("another"), fmt.Errorf("get: %w", err)))
	}
}
