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
	"github.com/sqllock/sqllock/internal/engine"
)

var byNumber = map[uint16]dialect.Class{
	1213: dialect.Transient, 1205: dialect.Transient, 1040: dialect.Transient, 1203: dialect.Transient,
	3572: dialect.Transient, 1047: dialect.Transient, 1020: dialect.Transient, 1243: dialect.Transient,
	1615: dialect.Transient, 3101: dialect.Transient, 4031: dialect.Transient, 9001: dialect.Transient,

	1317: dialect.Unknown, 3024: dialect.Unknown, 1053: dialect.Unknown, 1180: dialect.Unknown, 1927: dialect.Unknown,
	1969: dialect.Unknown, 1105: dialect.Unknown, 9006: dialect.Unknown, 1030: dialect.Unknown,

	1146: dialect.NoSchema, 1054: dialect.NoSchema,
	1290: dialect.ReadOnly, 1836: dialect.ReadOnly, 1792: dialect.ReadOnly, 1874: dialect.ReadOnly,

	0: dialect.Permanent, 1044: dialect.Permanent, 1045: dialect.Permanent, 1046: dialect.Permanent,
	1049: dialect.Permanent, 1062: dialect.Permanent, 1064: dialect.Permanent, 1142: dialect.Permanent,
	1264: dialect.Permanent, 1406: dialect.Permanent, 10_000: dialect.Permanent, 65_535: dialect.Permanent,
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

func TestClassifyByPlace(t *testing.T) {
	d := New(nil)
	cut := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, c := range []struct {
		err  error
		want dialect.Class
	}{
		{nil, dialect.Unknown},
		{errors.New("dial tcp: connection refused"), dialect.Unknown}, // a message is no evidence
		{context.Canceled, dialect.Unknown},
		{context.DeadlineExceeded, dialect.Unknown},
		{mysql.ErrInvalidConn, dialect.Unknown},
		{mysql.ErrPktSync, dialect.Unknown},
		{mysql.ErrMalformPkt, dialect.Unknown},
		{io.EOF, dialect.Unknown},
		{io.ErrUnexpectedEOF, dialect.Unknown},
		{cut, dialect.Unknown},
		{&net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}, dialect.Unknown},
		{&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, dialect.Transient},
		{&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host"}}, dialect.Transient},
		{driver.ErrBadConn, dialect.Transient},
		{engine.ErrBusy, dialect.Transient},
		{errReadOnly, dialect.ReadOnly},
		{sql.ErrTxDone, dialect.Permanent},
		{sql.ErrConnDone, dialect.Permanent},
		{mysql.ErrPktTooLarge, dialect.Permanent},
		{mysql.ErrNoTLS, dialect.Permanent},
		{fmt.Errorf("%w: slot", dialect.ErrInvalid), dialect.Permanent},
		{dialect.ErrUnsupported, dialect.Permanent},
	} {
		for err := range wrappings(c.err) {
			if got := d.Classify(err); got != c.want {
				t.Errorf("%v: %s, want %s", err, got, c.want)
			}
		}
	}
}

// Real errors, from a port where nobody listens and from a pool that is closed.
func TestClassifyWithoutServer(t *testing.T) {
	db, err := Open("mysql://nobody@127.0.0.1:1/x")
	if err != nil {
		t.Fatal(err)
	}
	d := New(db)
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.Transient {
		t.Errorf("nobody listens: %v (class %s)", err, d.Classify(err))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.Permanent {
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
		if kind%3 == 2 && want != dialect.Unknown {
			t.Errorf("%q is unheard of, and class %s", text, want)
		}
		for wrapped := range wrappings(err) {
			if got := d.Classify(wrapped); got != want {
				t.Errorf("%s, and wrapped %s", want, got)
			}
		}
	})
}

// wrappings yields err as it is and in all the ways it may come back.
func wrappings(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		if !yield(err) || err == nil {
			return
		}
		_ = yield(fmt.Errorf("mysql: acquire: %w", err)) &&
			yield(errors.Join(errors.New("another"), err)) &&
			yield(fmt.Errorf("%w, and %w", errors.New("another"), fmt.Errorf("look: %w", err)))
	}
}
