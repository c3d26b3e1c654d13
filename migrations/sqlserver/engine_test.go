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

// overhear is a connection that remembers what it is told to run, and answers every query with a zero.
type overhear struct{ sent []string }

func (o *overhear) Connect(context.Context) (driver.Conn, error) { return o, nil }
func (o *overhear) Driver() driver.Driver                        { return nil }
func (o *overhear) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("not asked for") }
func (o *overhear) Close() error                                 { return nil }
func (o *overhear) Begin() (driver.Tx, error)                    { return nil, errors.New("not asked for") }

func (o *overhear) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	o.sent = append(o.sent, query)
	return driver.ResultNoRows, nil
}

func (o *overhear) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	o.sent = append(o.sent, query)
	return new(zero), nil
}

// zero is one row of one column.
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

// What is known of golang-migrate's lock is what its driver sends, to the last blank.
func TestLockStatements(t *testing.T) {
	var o overhear
	if _, err := newDriver(sql.OpenDB(&o), "t"); err != nil { // which takes its lock to make the version table
		t.Fatal(err)
	}
	for _, statement := range []string{Engine.Statements.Take, Engine.Statements.Release} {
		if !slices.Contains(o.sent, statement) {
			t.Errorf("the driver sends %q, and not %q", o.sent, statement)
		}
	}
}

func TestSettledRefuses(t *testing.T) {
	for _, url := range []string{"sqlserver://u:hunter2@h?database=d&useMsi=true", "sqlserver://u:hunter2@h:1/d", "x://h"} {
		if _, err := settled(url); !errors.Is(err, dialect.ErrInvalid) || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
