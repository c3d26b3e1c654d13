package sqlserver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/dialect"
)

func TestPosition(t *testing.T) {
	for err, want := range map[error]int{
		fmt.Errorf("migrating: %w", mssql.Error{LineNo: 3}):  3,
		fmt.Errorf("migrating: %w", mssql.Error{LineNo: -1}): 0,
		errors.New("cut"): 0,
		nil:               0,
	} {
		if line, column := position(err, "SELECT 1"); line != want || column != 0 {
			t.Errorf("%v: %d:%d, want line %d", err, line, column, want)
		}
	}
}

// recorder is a connection that records the statements that it receives, and returns zero for every
// query.
type recorder struct{ sent []string }

func (o *recorder) Connect(context.Context) (driver.Conn, error) { return o, nil }
func (o *recorder) Driver() driver.Driver                        { return nil }
func (o *recorder) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("unexpected call") }
func (o *recorder) Close() error                                 { return nil }
func (o *recorder) Begin() (driver.Tx, error)                    { return nil, errors.New("unexpected call") }

func (o *recorder) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	o.sent = append(o.sent, query)
	return driver.ResultNoRows, nil
}

func (o *recorder) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	o.sent = append(o.sent, query)
	return new(zero), nil
}

// zero is one row with one column.
type zero struct{ read bool }

func (z *zero) Columns() []string { return []string{"zero"} }
func (z *zero) Close() error      { return nil }
func (z *zero) Next(row []driver.Value) error {
	if z.read {
		return io.EOF
	}
	z.read, row[0] = true, int64(0)
	return nil
}

// LockStatements are exactly those that golang-migrate's driver sends.
func TestLockStatements(t *testing.T) {
	var o recorder
	made, err := newDriver("t")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := made.New(sql.OpenDB(&o)); err != nil { // takes its lock to create the version table
		t.Fatal(err)
	}
	for _, statement := range []string{Engine.Statements.Take, Engine.Statements.Release} {
		if !slices.Contains(o.sent, statement) {
			t.Errorf("the driver sends %q, not %q", o.sent, statement)
		}
	}
}

func TestParseRefusesURL(t *testing.T) {
	for _, url := range []string{
		"sqlserver://u:hunter2@h?database=d&useMsi=true", "sqlserver://u:hunter2@h:1/d", "x://h",
	} {
		if _, err := parse(url); !errors.Is(err, dialect.ErrInvalid) || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
