package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// readServer reads which server this is, the settings of a session, and which migrations were
// applied.
func (d *Dialect) readServer(ctx context.Context) (dialect.Server, error) {
	version, err := one(ctx, dialect.SQL(d.db), engine.One[string], sqlVersion)
	if err != nil {
		return dialect.Server{}, err
	}
	seen, err := one(ctx, dialect.SQL(d.db), scanSettings, sqlSession)
	if err != nil {
		return dialect.Server{}, err
	}
	server := named(version, seen.comment)
	if err = errors.Join(checkVersion(server), seen.check()); err != nil {
		return server, err
	}
	if err = checkEngines(ctx, dialect.SQL(d.db)); err != nil {
		return server, err
	}
	f, err := d.flavour(ctx)
	if err == nil && f.product == tidb {
		err = checkTxMode(ctx, dialect.SQL(d.db), f)
	}
	if err != nil {
		return server, err
	}
	if err = readSchema(ctx, dialect.SQL(d.db), f, &server); err != nil {
		return server, err
	}
	err = engine.ReadCompatible(ctx, dialect.SQL(d.db), &server, d.SchemaVersion(), sqlCompatible, d.noTable)
	return server, err
}

// one runs a statement that returns one row.
func one[T any](ctx context.Context, s engine.Session, scan func(dialect.Rows, *T) error, text string) (T, error) {
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

// named returns the name and version for what the server says: "10.11.19-MariaDB-0+deb12u1" or
// "9.7.4-2".
func named(version, comment string) dialect.Server {
	number, _, _ := strings.Cut(version, "-")
	name := "MySQL"
	switch {
	case strings.Contains(strings.ToLower(version+comment), "mariadb"):
		name = "MariaDB"
	case strings.Contains(version, "-TiDB-"): // "8.0.11-TiDB-v8.5.0"
		_, number, _ = strings.Cut(version, "-TiDB-v")
		name = "TiDB"
	case strings.Contains(version, "-Vitess"): // "8.0.40-Vitess"
		name = "Vitess"
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
		return nil // it isn't asked for either; Probe finds out by trying
	}
	var have [3]int
	for i, part := range strings.SplitN(server.Version, ".", 3) {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil //nolint:nilerr // a scheme of its own; Probe finds out by trying
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

const (
	mostRowsRead = 1_000_000 // the LIMIT in get.sql
	longestName  = 4 * 255   // in bytes
)

// settings are those of a session of the pool.
type settings struct {
	comment                        string
	database                       sql.NullString
	autocommit, readOnly, innodbRO string
	client, connection             string
	results                        sql.NullString
	mode, completion               string
	most, sorted                   uint64 // sql_select_limit, max_sort_length
}

func scanSettings(rows dialect.Rows, s *settings) error {
	return rows.Scan(&s.comment, &s.database, &s.autocommit, &s.readOnly, &s.innodbRO, &s.client, &s.connection,
		&s.results,
		&s.mode, &s.completion, &s.most, &s.sorted)
}

func (s settings) check() error {
	switch {
	case !s.database.Valid:
		return fmt.Errorf("%w: the DSN names no database: add /name after the address", dialect.ErrInvalid)
	case off(s.autocommit):
		return fmt.Errorf("%w: sessions of this pool have autocommit off, so no lock would ever be committed: "+
			"take autocommit out of the DSN and out of the server's init_connect", dialect.ErrInvalid)
	case !strings.EqualFold(s.completion, "NO_CHAIN") && s.completion != "0":
		return fmt.Errorf("%w: completion_type is %s in the sessions of this pool, so what comes after a commit "+
			"would be in another transaction that is never committed: take it out of the DSN and out of the server's "+
			"settings", dialect.ErrInvalid, s.completion)
	case strings.Contains(s.mode, "EMPTY_STRING_IS_NULL"):
		return fmt.Errorf("%w: sql_mode of this pool's sessions has EMPTY_STRING_IS_NULL, so no row could be written "+
			"that has an empty text: set sql_mode in the DSN to what it is without that", dialect.ErrInvalid)
	case s.most < mostRowsRead:
		return fmt.Errorf("%w: sql_select_limit is %d in the sessions of this pool, and results would be truncated: "+
			"take it out of the DSN and out of the server's settings", dialect.ErrInvalid, s.most)
	case s.sorted < longestName:
		return fmt.Errorf("%w: max_sort_length is %d in the sessions of this pool, so long names would be listed in "+
			"no order: let it be %d or more", dialect.ErrInvalid, s.sorted, longestName)
	case !off(s.readOnly) || !off(s.innodbRO):
		return errReadOnly
	case s.client != "utf8mb4" || s.connection != "utf8mb4" || s.results.Valid && s.results.String != "utf8mb4":
		return fmt.Errorf("%w: the pool's character set is %s, and the same name would be another lock to clients "+
			"with utf8mb4: set charset=utf8mb4 in the DSN, and no collation of another", dialect.ErrInvalid, s.client)
	}
	return nil
}

// off reports whether a switch is off: a number, or a word since MariaDB 12.
func off(value string) bool { return value == "0" || strings.EqualFold(value, "OFF") }

func checkEngines(ctx context.Context, s engine.Session) error {
	wrong, err := engine.Query(ctx, s, func(rows dialect.Rows, is *string) error {
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

// readSchema leaves server unversioned if golang-migrate's table doesn't exist or this user can't
// read it: without any privilege on the database, the server reports both in the same way.
func readSchema(ctx context.Context, s engine.Session, f flavour, server *dialect.Server) error {
	err := engine.ReadSchema(ctx, s, server, f.caughtUp(sqlSchema))
	if n := number(err); n == erNoSuchTable || n == erTableDenied {
		return nil
	}
	server.Versioned = true
	return err
}
