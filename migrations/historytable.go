package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// HistoryTable is how an engine keeps the history of an application's migrations. The history is a
// table beside golang-migrate's own, which has room for the version alone. In the statements %s
// stands for the table.
type HistoryTable struct {
	// Schema is a query for the default schema, for a version table that is named without one.
	Schema string

	// Quote returns the table's name as statements need it. It includes the schema, so that it is
	// valid whatever the migrations have done to the session's settings.
	Quote func(schema, table string) string

	// Longest is the greatest length of a table's name in bytes; 0 means no limit.
	Longest int

	// Exists is a query that counts the tables in a schema (the first parameter) that have a name
	// (the second parameter).
	Exists string

	// Create creates the table.
	//
	// Insert adds a record with the current time by the server's clock, in UTC. Its parameters are
	// version, name, direction, how, checksum, milliseconds and holder.
	//
	// List is a query for all records in the order in which they were added. Its columns are those
	// parameters, with the time in microseconds since 1970 before the milliseconds.
	Create, Insert, List string
}

// historySuffix is appended to the version table's name to form the history's name.
const historySuffix = "_history"

// history is the history table of one application.
type history struct {
	HistoryTable
	schema, name string
}

// openHistory returns the history beside the version table of d. It creates nothing.
func openHistory(ctx context.Context, db *sql.DB, engine *Engine, d Driver) (*history, error) {
	h := &history{HistoryTable: engine.History, schema: d.Schema, name: besideName(d.Name, engine.History.Longest)}
	if h.schema == "" {
		var schema sql.NullString
		if err := db.QueryRowContext(ctx, h.Schema).Scan(&schema); err != nil {
			return nil, err
		}
		h.schema = schema.String
	}
	return h, nil
}

// besideName returns the name of the history table beside a version table. If the name would be too
// long, a checksum replaces a part of it.
func besideName(table string, longest int) string {
	name := table + historySuffix
	if longest == 0 || len(name) <= longest {
		return name
	}
	end := "_" + Checksum([]byte(table))[:12] + historySuffix
	return strings.ToValidUTF8(table[:longest-len(end)], "") + end
}

// String returns the table's name as statements need it.
func (h *history) String() string { return h.Quote(h.schema, h.name) }

// executor is an *sql.DB or an *sql.Tx.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// exists reports whether the table exists.
func (h *history) exists(ctx context.Context, db *sql.DB) (bool, error) {
	var tables int
	err := db.QueryRowContext(ctx, h.Exists, h.schema, h.name).Scan(&tables)
	return tables > 0, err
}

// create creates the table.
func (h *history) create(ctx context.Context, db executor) error {
	query := fmt.Sprintf(h.Create, h)
	if _, err := db.ExecContext(ctx, query); err != nil {
		return fmt.Errorf("can't create the table for the history of the migrations. The account that migrates "+
			"needs the privilege to create it, unless somebody else creates it first: %w (%s)", err, query)
	}
	return nil
}

// add adds records.
func (h *history) add(ctx context.Context, db executor, by string, records ...Record) error {
	query := fmt.Sprintf(h.Insert, h)
	for _, r := range records {
		direction := "up"
		if r.Down {
			direction = "down"
		}
		version := int64(r.Version) //nolint:gosec // at most MaxVersion
		_, err := db.ExecContext(ctx, query, version, r.Name, direction, string(r.How), r.Checksum,
			r.Took.Milliseconds(), by)
		if err != nil {
			return fmt.Errorf("can't record version %d in the history of the migrations: %w "+
				"(%s)", r.Version, err, query)
		}
	}
	return nil
}

// list returns all records in the order in which they were added.
func (h *history) list(ctx context.Context, db executor) (records []Record, err error) {
	query := fmt.Sprintf(h.List, h)
	defer func() {
		if err != nil {
			err = fmt.Errorf("can't read the history of the migrations: %w (%s)", err, query)
		}
	}()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r Record
		var version, micros, millis int64
		var direction string
		if err := rows.Scan(&version, &r.Name, &direction, &r.How, &r.Checksum, &micros, &millis, &r.By); err != nil {
			return nil, err
		}
		if version < 0 || version > MaxVersion {
			return nil, fmt.Errorf("it contains %d, which isn't a version", version)
		}
		r.Version, r.Down = uint(version), direction == "down"
		r.At, r.Took = time.UnixMicro(micros).UTC(), time.Duration(millis)*time.Millisecond
		records = append(records, r)
	}
	return records, rows.Err()
}
