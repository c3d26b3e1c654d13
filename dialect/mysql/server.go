package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// readServer finds out who answers, what a session is like, and which migrations have been applied.
func (d *Dialect) readServer(ctx context.Context) (dialect.Server, error) {
	version, err := one(ctx, d.db, engine.One[string], sqlVersion)
	if err != nil {
		return dialect.Server{}, err
	}
	seen, err := one(ctx, d.db, scanSettings, sqlSession)
	if err != nil {
		return dialect.Server{}, err
	}
	server := product(version, seen.comment)
	if err = errors.Join(checkVersion(server), seen.check()); err != nil {
		return server, err
	}
	if err = checkEngines(ctx, d.db); err != nil {
		return server, err
	}
	err = readSchema(ctx, d.db, &server)
	return server, err
}

// one runs a statement that answers one row.
func one[T any](ctx context.Context, s engine.Session, scan func(*sql.Rows, *T) error, text string) (T, error) {
	found, err := engine.Query(ctx, s, scan, text)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d rows for %q", len(found), text)
	}
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

// product is the name and the version that the server goes by: "10.11.19-MariaDB-0+deb12u1" or "9.7.4-2".
func product(version, comment string) dialect.Server {
	number, _, _ := strings.Cut(version, "-")
	name := "MySQL"
	switch {
	case strings.Contains(strings.ToLower(version+comment), "mariadb"):
		name = "MariaDB"
	case strings.Contains(version, "-TiDB-"): // "8.0.11-TiDB-v8.5.0"
		_, number, _ = strings.Cut(version, "-TiDB-v")
		name = "TiDB"
	case strings.Contains(comment, "Percona"):
		name = "Percona Server"
	}
	return dialect.Server{Product: name, Version: number}
}

// checkVersion refuses servers that are known to lack SKIP LOCKED or JSON_TABLE.
func checkVersion(server dialect.Server) error {
	least := [3]int{8, 0, 11} // the first 8.0 for general use
	switch server.Product {
	case "MariaDB":
		least = [3]int{10, 6, 0}
	case "TiDB":
		return nil // found by trying
	}
	var have [3]int
	for i, part := range strings.SplitN(server.Version, ".", 3) {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil //nolint:nilerr // a number of its own kind; found by trying
		}
		have[i] = n
	}
	for i := range have {
		if have[i] > least[i] {
			return nil
		} else if have[i] < least[i] {
			return fmt.Errorf("%w: this is %s %s; MySQL 8.0.11 or MariaDB 10.6 is needed, or later",
				dialect.ErrUnsupported, server.Product, server.Version)
		}
	}
	return nil
}

// settings are what a session of the pool is like.
type settings struct {
	comment                        string
	database                       sql.NullString
	autocommit, readOnly, innodbRO string
	client, connection             string
	results                        sql.NullString
}

func scanSettings(rows *sql.Rows, s *settings) error {
	return rows.Scan(&s.comment, &s.database, &s.autocommit, &s.readOnly, &s.innodbRO, &s.client, &s.connection, &s.results)
}

func (s settings) check() error {
	switch {
	case !s.database.Valid:
		return fmt.Errorf("%w: the DSN names no database: add /name after the address", dialect.ErrInvalid)
	case off(s.autocommit):
		return fmt.Errorf("%w: sessions of this pool have autocommit off, so no lock would ever be committed: "+
			"take autocommit out of the DSN and out of the server's init_connect", dialect.ErrInvalid)
	case !off(s.readOnly) || !off(s.innodbRO):
		return errReadOnly
	case s.client != "utf8mb4" || s.connection != "utf8mb4" || s.results.Valid && s.results.String != "utf8mb4":
		return fmt.Errorf("%w: the pool's character set is %s, and the same name would be another lock to clients "+
			"with utf8mb4: set charset=utf8mb4 in the DSN, and no collation of another", dialect.ErrInvalid, s.client)
	}
	return nil
}

// off reads a switch: a number, or a word since MariaDB 12.
func off(value string) bool { return value == "0" || strings.EqualFold(value, "OFF") }

func checkEngines(ctx context.Context, s engine.Session) error {
	wrong, err := engine.Query(ctx, s, func(rows *sql.Rows, is *string) error {
		var table, storage string
		err := rows.Scan(&table, &storage)
		*is = table + " is " + storage
		return err
	}, sqlEngines)
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("%w: only InnoDB tables can serve locks, and %s; run: ALTER TABLE … ENGINE = InnoDB",
			dialect.ErrUnsupported, strings.Join(wrong, ", "))
	}
	return err
}

// readSchema answers not versioned where golang-migrate's table isn't there, or isn't for this user to read: without
// any right on the database, the server says the same of both.
func readSchema(ctx context.Context, s engine.Session, server *dialect.Server) error {
	_, err := engine.Query(ctx, s, engine.ScanSchema(server), sqlSchema)
	if n := number(err); n == erNoSuchTable || n == erTableDenied {
		return nil
	}
	server.Versioned = true
	return err
}
