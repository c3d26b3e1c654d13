package bench

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
)

// runPostgres starts a server that can count statements. It counts only while that is switched on:
// see counting.
func runPostgres(t *testing.T) *target {
	t.Helper()
	i := servers.Private(t, "postgres15", servers.Durable(), servers.Args("-c", "max_connections=1000",
		"-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.track=none"))
	db := openDB(t, i.URL)
	mustExec(t, db, "CREATE EXTENSION pg_stat_statements")
	var version, fsync, commit string
	scan(t, db, "SELECT current_setting('server_version'), current_setting('fsync'), "+
		"current_setting('synchronous_commit')",
		&version, &fsync, &commit)
	// The count leaves out the benchmark's own statements, which it recognizes by the tables that
	// they read.
	const query = `SELECT coalesce(sum(calls), 0),
			coalesce(sum(rows) FILTER (WHERE query ~* '\y(update|insert|delete)\y'), 0)
		FROM pg_stat_statements WHERE query !~ 'pg_stat_statements|current_database'`
	return &target{
		url: i.URL, instance: i, about: "PostgreSQL " + version + ", fsync " + fsync + ", synchronous_commit " + commit,
		count: func(ctx context.Context) (c counts, err error) {
			return c, db.QueryRowContext(ctx, query).Scan(&c.statements, &c.rows)
		},
	}
}

// counting switches the counting of statements on or off, for connections that are opened from now
// on. Counting costs a little, which must not be part of the timings of the other sections.
func (s *target) counting(t *testing.T, on bool) {
	t.Helper()
	if s.name != "postgres15" {
		return
	}
	db := openDB(t, s.url)
	defer db.Close()
	var name string
	scan(t, db, "SELECT quote_ident(current_database())", &name)
	to := map[bool]string{true: "top", false: "none"}[on]
	mustExec(t, db, "ALTER DATABASE "+name+" SET pg_stat_statements.track = '"+to+"'")
}

func runMySQL(t *testing.T, name string) *target {
	t.Helper()
	i := servers.Private(t, name, servers.Durable(), servers.Args("--max-connections=1000"))
	db := openDB(t, i.URL)
	var version, flush, binlog string
	scan(t, db, "SELECT VERSION(), @@innodb_flush_log_at_trx_commit, @@log_bin", &version, &flush, &binlog)
	product := map[string]string{"mysql": "MySQL ", "mariadb": "MariaDB "}[name]
	about := product + version + ", innodb_flush_log_at_trx_commit " + flush
	if binlog == "0" {
		about += ", no binary log"
	}
	own := 0.0 // the benchmark's own statements
	return &target{url: i.URL, instance: i, about: about, count: func(ctx context.Context) (counts, error) {
		own++
		c, err := mysqlStatus(ctx, db)
		c.statements -= own
		return c, err
	}}
}

func mysqlStatus(ctx context.Context, db *sql.DB) (c counts, err error) {
	rows, err := db.QueryContext(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Questions', "+
		"'Innodb_rows_inserted', 'Innodb_rows_updated', 'Innodb_rows_deleted')")
	if err != nil {
		return c, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var value float64
		if err := rows.Scan(&name, &value); err != nil {
			return c, err
		}
		if strings.EqualFold(name, "Questions") {
			c.statements = value
		} else {
			c.rows += value
		}
	}
	return c, rows.Err()
}

func runSQLite(t *testing.T) *target {
	t.Helper()
	url := "sqlite://" + filepath.Join(t.TempDir(), "bench.db")
	db := openDB(t, url)
	var version, synchronous, journal string
	scan(t, db, "SELECT sqlite_version()", &version)
	scan(t, db, "PRAGMA synchronous", &synchronous)
	scan(t, db, "PRAGMA journal_mode", &journal)
	about := "SQLite " + version + ", synchronous " + synchronous + " (2 is FULL), journal_mode " + journal
	return &target{url: url, about: about}
}

func openDB(t *testing.T, url string) *sql.DB {
	t.Helper()
	target, err := open.URL(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.DB.Close() })
	return target.DB
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func scan(t *testing.T, db *sql.DB, query string, into ...any) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(into...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
