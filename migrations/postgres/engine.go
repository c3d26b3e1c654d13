// Package postgres contains sqllock's migrations for PostgreSQL.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"strconv"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/internal/sqltext"
	"github.com/sqllock/sqllock/migrations"
)

// session has no statement to cancel with: exec does that.
var session = migrations.Session{
	ID:      "SELECT pg_backend_pid()",
	Running: "SELECT query FROM pg_stat_activity WHERE pid = $1 AND state = 'active'",
	WaitsFor: []string{`SELECT coalesce((
			SELECT CASE WHEN w.relation IS NULL THEN 'a lock (' || w.locktype || ')'
				ELSE 'a lock on ' || w.relation::regclass::text || ' (' || w.mode || ')' END
			FROM pg_locks AS w WHERE w.pid = $1 AND NOT w.granted LIMIT 1), 'a lock')
		|| ' of session ' || b.pid || ' (' || concat_ws(', ', b.usename, nullif(b.application_name, ''),
			b.client_addr::text, b.state,
			'in a transaction for ' || date_trunc('second', clock_timestamp() - b.xact_start)) || ')'
		FROM pg_stat_activity AS b WHERE b.pid = ANY (pg_blocking_pids($1)) ORDER BY b.pid LIMIT 3`},
}

//go:embed *.sql
var files embed.FS

// Engine is the [migrations.Engine] of PostgreSQL: see [migrations.Up]. It works with an *sql.DB of
// any driver, and through poolers in transaction mode, because the run and its lock are one
// transaction.
var Engine = &migrations.Engine{
	Name:          "postgres",
	Files:         files,
	Driver:        newDriver,
	TryLock:       tryLock,
	Unlock:        unlock,
	Transactional: true,
	Transaction:   transaction,
	Syntax:        sqltext.PostgreSQL,
	Exec:          exec,
	History:       historyTable,
	Session:       session,
	HasTable: "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND " +
		"table_name = $1",
	Parse: parse,
	Statements: migrations.LockStatements{
		Take: "SELECT pg_advisory_lock($1)", Try: "SELECT pg_try_advisory_lock($1)",
		Release: "SELECT pg_advisory_unlock($1)",
		None:    "SELECT $1::text IS NOT NULL",
		Session: true,
	},
	Dialect: func(db *sql.DB) dialect.Dialect { return postgres.New(db) },
	Scope:   "SELECT coalesce(current_schema(), '')",
	NoScope: errNoSchema,
	EndSession: "SELECT pg_terminate_backend(PID), with the pid that is named above, as a role that may: the " +
		"user's own, or a superuser",
	Position: position,
	Hint:     hint,
}

// databaseName returns the database's name as golang-migrate's command uses it for its lock: the
// path of its URL.
func databaseName(name string) string { return "/" + name }

// tryLock takes the advisory lock that golang-migrate's own command takes for this table, so that
// both don't migrate at once. It doesn't wait in the server, because a blocked statement would hold
// up CREATE INDEX CONCURRENTLY.
func tryLock(ctx context.Context, conn *sql.Conn, table string) (bool, error) {
	var name, schema sql.NullString
	row := conn.QueryRowContext(ctx, "SELECT current_database(), current_schema()")
	if err := row.Scan(&name, &schema); err != nil {
		return false, err
	}
	if !schema.Valid {
		return false, errNoSchema
	}
	id, err := lockID(name.String, schema.String, table)
	if err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return false, postgres.Explain(err)
	}
	var locked bool
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", id).Scan(&locked); err != nil {
		return false, err
	}
	if !locked {
		_, err = conn.ExecContext(ctx, "ROLLBACK")
	}
	return locked, err
}

func lockID(name, schema, table string) (int64, error) {
	id, err := database.GenerateAdvisoryLockId(databaseName(name), schema, table)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(id, 10, 64)
}

func unlock(ctx context.Context, conn *sql.Conn, _ string) error {
	_, err := conn.ExecContext(ctx, "COMMIT")
	return err
}

// position converts the server's position, which counts characters from 1. If the error has none it
// returns the beginning of the statement.
func position(err error, text string) (line, column int) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return 0, 0
	}
	if pg.Position <= 0 {
		return beginning(err, text)
	}
	line = 1
	for i, r := range []rune(text) {
		if i+1 == int(pg.Position) {
			return line, column + 1
		}
		column++
		if r == '\n' {
			line, column = line+1, 0
		}
	}
	return line, column + 1
}

// beginning returns the position of the statement that an error is about.
func beginning(err error, text string) (line, column int) {
	failed, ok := errors.AsType[*statementError](err)
	if !ok {
		return 0, 0
	}
	statements := sqltext.Split(text, sqltext.PostgreSQL)
	if failed.index >= len(statements) {
		return 0, 0
	}
	at := statements[failed.index].Start
	return sqltext.Line(text, at), sqltext.Column(text, at)
}
