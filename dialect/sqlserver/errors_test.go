package sqlserver

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

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// answers are errors of the server, by number and severity.
var answers = map[[2]int]dialect.Class{
	{1205, 13}: dialect.Transient, {1222, 16}: dialect.Transient, {3960, 16}: dialect.Transient, {9002, 17}: dialect.Transient,
	{40501, 20}: dialect.Transient, {10928, 20}: dialect.Transient, {40613, 17}: dialect.Transient,
	{17051, 17}: dialect.Transient, {802, 19}: dialect.Transient, // known to nobody here, but a lack of resources

	{596, 21}: dialect.Unknown, {40197, 17}: dialect.Unknown, {6005, 10}: dialect.Unknown, {33557097, 16}: dialect.Unknown,
	{823, 24}: dialect.Unknown, {50000, 20}: dialect.Unknown, // known to nobody here, and it ended the connection

	{207, 16}: dialect.NoSchema, {208, 16}: dialect.NoSchema,
	{3906, 16}: dialect.ReadOnly, {976, 14}: dialect.ReadOnly, {978, 14}: dialect.ReadOnly,

	{2627, 14}: dialect.Permanent, {2601, 14}: dialect.Permanent, {229, 14}: dialect.Permanent, {102, 15}: dialect.Permanent,
	{18456, 14}: dialect.Permanent, {4060, 11}: dialect.Permanent, {515, 16}: dialect.Permanent, {2628, 16}: dialect.Permanent,
	{334, 16}: dialect.Permanent, {650, 16}: dialect.Permanent, {8115, 16}: dialect.Permanent,
	{0, 0}: dialect.Unknown, // the driver's
}

func TestClassifyByNumber(t *testing.T) {
	d := New(nil)
	for answer, want := range answers {
		plain := mssql.Error{Number: int32(answer[0]), Class: uint8(answer[1])}
		for _, err := range []error{
			plain,
			fmt.Errorf("sqlserver: acquire: %w", plain),
			errors.Join(errors.New("first"), &plain),
			fmt.Errorf("%w: %w", context.Canceled, plain),
		} {
			if got := d.Classify(err); got != want {
				t.Errorf("%T %d: %s, want %s", err, answer, got, want)
			}
			if got := number(err); got != plain.Number {
				t.Errorf("number %d, want %d", got, plain.Number)
			}
		}
	}
}

func TestClassifyByPlace(t *testing.T) {
	d := New(nil)
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	cut := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, c := range []struct {
		err  error
		want dialect.Class
	}{
		{nil, dialect.Unknown},
		{errors.New("mssql: deadlock"), dialect.Unknown}, // a message is no evidence
		{context.Canceled, dialect.Unknown},
		{context.DeadlineExceeded, dialect.Unknown},
		{io.EOF, dialect.Unknown},
		{cut, dialect.Unknown},
		{mssql.StreamError{InnerError: io.ErrUnexpectedEOF}, dialect.Unknown},
		{mssql.ServerError{}, dialect.Unknown}, // the server ended the connection
		{refused, dialect.Transient},
		{driver.ErrBadConn, dialect.Transient},
		{engine.ErrBusy, dialect.Transient},
		{sql.ErrTxDone, dialect.Permanent},
		{sql.ErrConnDone, dialect.Permanent},
		{fmt.Errorf("%w: slot", dialect.ErrInvalid), dialect.Permanent},
		{dialect.ErrUnsupported, dialect.Permanent},
	} {
		for _, err := range []error{c.err, fmt.Errorf("sqlserver: look: %w", c.err), errors.Join(errors.New("another"), c.err)} {
			if c.err == nil {
				err = nil
			}
			if got := d.Classify(err); got != c.want {
				t.Errorf("%v: %s, want %s", err, got, c.want)
			}
		}
	}
}

// Real errors, from a port where nobody listens and from a pool that is closed.
func TestClassifyWithoutServer(t *testing.T) {
	db, err := Open("sqlserver://nobody@127.0.0.1:1?database=x")
	if err != nil {
		t.Fatal(err)
	}
	d := New(db)
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.Transient {
		t.Errorf("nobody listens: %v (class %s)", err, d.Classify(err))
	}
	_ = db.Close()
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.Permanent {
		t.Errorf("closed pool: %v (class %s)", err, d.Classify(err))
	}
}

func FuzzClassify(f *testing.F) {
	for answer := range answers {
		f.Add(int32(answer[0]), uint8(answer[1]))
	}
	d := New(nil)
	f.Fuzz(func(t *testing.T, number int32, severity uint8) {
		err := mssql.Error{Number: number, Class: severity}
		class := d.Classify(err)
		if s := class.String(); s == "" || s[0] == 'C' {
			t.Fatalf("class %s", s)
		}
		if wrapped := d.Classify(fmt.Errorf("acquire: %w", err)); wrapped != class {
			t.Errorf("%s, and wrapped %s", class, wrapped)
		}
	})
}
