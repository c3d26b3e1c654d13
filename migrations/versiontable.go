package migrations

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
)

// VersionTableError reports that the version table doesn't say which version the database is at.
// Nothing was changed.
type VersionTableError struct {
	Table string   // the version table's name as statements need it
	Rows  []string // the versions in it, at most ten
	Own   bool     // whether it is that of sqllock's own tables
}

// Error says what the table contains and how to repair it.
func (e *VersionTableError) Error() string {
	what := "has the version " + strings.Join(e.Rows, "")
	if len(e.Rows) > 1 {
		what = fmt.Sprintf("has %d rows, versions %s, where one is allowed", len(e.Rows), strings.Join(e.Rows, ", "))
	}
	return fmt.Sprintf("the version table %s %s, so it doesn't say which version the database is at; nothing was "+
		"changed. Find out which version the tables are at, and record it with %s, which leaves no other row",
		e.Table, what, command(e.Own, "force"))
}

// strict makes golang-migrate's driver check its version table. The driver itself reads whichever
// row comes first, and on SQLite it takes every error for an empty table.
type strict struct {
	database.Driver
	sharedConn *sharedConn
	table      string
}

// Version reads the version. It returns an error if the table has more than one row.
func (d *strict) Version() (version int, dirty bool, err error) {
	if _, _, err := d.sharedConn.version(context.Background(), d.table); err != nil {
		return 0, false, err
	}
	return d.Driver.Version()
}

// oneRow deletes all rows but one if there are several. Not every driver deletes them all when it
// records a version.
func (d *strict) oneRow() error {
	_, _, err := d.Version()
	several, ok := errors.AsType[*VersionTableError](err)
	if !ok {
		return err
	}
	if len(several.Rows) == 1 {
		return nil
	}
	return d.sharedConn.exec(d.sharedConn.until, "DELETE FROM "+d.table+" WHERE version <> "+several.Rows[0])
}

// version reads a version table. It returns version -1 if the table is empty.
func (l *sharedConn) version(ctx context.Context, table string) (version int, dirty bool, err error) {
	const most = 10
	query := "SELECT version, dirty FROM " + table
	rows, err := l.query(ctx, query, most)
	if err != nil {
		return 0, false, &database.Error{OrigErr: err, Query: []byte(query)}
	}
	if len(rows) == 0 {
		return database.NilVersion, false, nil
	}
	var at sql.NullInt64
	var isDirty sql.NullBool
	readable := errors.Join(at.Scan(rows[0][0]), isDirty.Scan(rows[0][1])) == nil && at.Valid && isDirty.Valid
	if len(rows) == 1 && readable {
		return int(at.Int64), isDirty.Bool, nil
	}
	e := &VersionTableError{Table: table, Own: l.own}
	for _, row := range rows {
		e.Rows = append(e.Rows, valueText(row[0]))
	}
	return 0, false, e
}

// valueText formats a value for people.
func valueText(value driver.Value) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case []byte:
		return string(v)
	}
	return fmt.Sprint(value)
}

// query returns the rows of a query without parameters. It reads at most as many rows as most says.
func (l *sharedConn) query(ctx context.Context, query string, most int) (list [][]driver.Value, err error) {
	rows, err := l.QueryContext(ctx, query, nil)
	if errors.Is(err, driver.ErrSkip) {
		var statement driver.Stmt
		if statement, err = l.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, statement.Close()) }()
		rows, err = statement.Query(nil) //nolint:staticcheck // the only method that every driver has
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for len(list) < most {
		row := make([]driver.Value, len(rows.Columns()))
		err := rows.Next(row)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		for i, value := range row {
			if v, ok := value.([]byte); ok {
				row[i] = bytes.Clone(v) // the driver may reuse the buffer
			}
		}
		list = append(list, row)
	}
	return list, nil
}
