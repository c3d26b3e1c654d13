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
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// serverErrors are errors of the server, by number and severity.
var serverErrors = map[[2]int]dialect.Class{
	{1205, 13}: dialect.ClassTransient, {1222, 16}: dialect.ClassTransient, {3960, 16}: dialect.ClassTransient, {
		9002,
		17,
	}: dialect.ClassTransient,
	{40501, 20}: dialect.ClassTransient, {10928, 20}: dialect.ClassTransient, {40613, 17}: dialect.ClassTransient,
	// unknown numbers, but a lack of resources
	{17051, 17}: dialect.ClassTransient, {802, 19}: dialect.ClassTransient,

	{596, 21}: dialect.ClassUnknown, {40197, 17}: dialect.ClassUnknown, {6005, 10}: dialect.ClassUnknown, {
		33557097,
		16,
	}: dialect.ClassUnknown,
	// unknown numbers, and they ended the connection
	{823, 24}: dialect.ClassUnknown, {50000, 20}: dialect.ClassUnknown,

	{207, 16}: dialect.ClassNoSchema, {208, 16}: dialect.ClassNoSchema,
	{3906, 16}: dialect.ClassReadOnly, {976, 14}: dialect.ClassReadOnly, {978, 14}: dialect.ClassReadOnly,

	{2627, 14}: dialect.ClassPermanent, {2601, 14}: dialect.ClassPermanent, {229, 14}: dialect.ClassPermanent, {
		102,
		15,
	}: dialect.ClassPermanent,
	{18456, 14}: dialect.ClassPermanent, {4060, 11}: dialect.ClassPermanent, {515, 16}: dialect.ClassPermanent, {
		2628,
		16,
	}: dialect.ClassPermanent,
	{334, 16}: dialect.ClassPermanent, {650, 16}: dialect.ClassPermanent, {8115, 16}: dialect.ClassPermanent,
	{0, 0}: dialect.ClassUnknown, // the driver's
}

func TestClassifyByNumber(t *testing.T) {
	d := New(nil)
	for serverErr, want := range serverErrors {
		plain := mssql.Error{Number: int32(serverErr[0]), Class: uint8(serverErr[1])}
		for _, err := range []error{
			plain,
			fmt.Errorf("sqlserver: acquire: %w", plain),
			errors.Join(errors.New("first"), &plain),
			fmt.Errorf("%w: %w", context.Canceled, plain),
		} {
			if got := d.Classify(err); got != want {
				t.Errorf("%T %d: %s, want %s", err, serverErr, got, want)
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
		{nil, dialect.ClassUnknown},
		{errors.New("mssql: deadlock"), dialect.ClassUnknown}, // a message is no evidence
		{context.Canceled, dialect.ClassUnknown},
		{context.DeadlineExceeded, dialect.ClassUnknown},
		{io.EOF, dialect.ClassUnknown},
		{cut, dialect.ClassUnknown},
		{mssql.StreamError{InnerError: io.ErrUnexpectedEOF}, dialect.ClassUnknown},
		{mssql.ServerError{}, dialect.ClassUnknown}, // the server ended the connection
		{refused, dialect.ClassTransient},
		{driver.ErrBadConn, dialect.ClassTransient},
		{engine.ErrBusy, dialect.ClassTransient},
		{sql.ErrTxDone, dialect.ClassPermanent},
		{sql.ErrConnDone, dialect.ClassPermanent},
		{fmt.Errorf("%w: slot", dialect.ErrInvalid), dialect.ClassPermanent},
		{dialect.ErrUnsupported, dialect.ClassPermanent},
	} {
		for _, err := range []error{c.err, fmt.Errorf("sqlserver: look: %w",
			c.err), errors.Join(errors.New("another"), c.err)} {
			if c.err == nil {
				err = nil
			}
			if got := d.Classify(err); got != c.want {
				t.Errorf("%v: %s, want %s", err, got, c.want)
			}
		}
	}
}

// Real errors, from a port without a listener and from a pool that is closed.
func TestClassifyWithoutServer(t *testing.T) {
	db, err := Open("sqlserver://nobody@127.0.0.1:1?database=x")
	if err != nil {
		t.Fatal(err)
	}
	d := New(db)
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.ClassTransient {
		t.Errorf("no listener: %v (class %s)", err, d.Classify(err))
	}
	_ = db.Close()
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.ClassPermanent {
		t.Errorf("closed pool: %v (class %s)", err, d.Classify(err))
	}
}

func FuzzClassify(f *testing.F) {
	for serverErr := range serverErrors {
		f.Add(int32(serverErr[0]), uint8(serverErr[1]))
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
