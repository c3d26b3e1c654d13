// Package postgres has sqllock's migrations for PostgreSQL.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"strconv"

	"github.com/golang-migrate/migrate/v4/database"
	pgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/migrations"
)

//go:embed *.sql
var files embed.FS

// Engine is PostgreSQL: see migrations.Up. It works with an *sql.DB of any driver, and through poolers in transaction
// mode: the run and its lock are one transaction.
var Engine = &migrations.Engine{
	Name:          "postgres",
	Files:         files,
	Driver:        newDriver,
	TryLock:       tryLock,
	Unlock:        unlock,
	Transactional: true,
	HasTable:      "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1",
	MigrateURL:    migrateURL,
	Settled:       settled,
	Statements: migrations.LockStatements{
		Take: "SELECT pg_advisory_lock($1)", Try: "SELECT pg_try_advisory_lock($1)", Release: "SELECT pg_advisory_unlock($1)",
		None:    "SELECT $1::text IS NOT NULL",
		Session: true,
	},
	Dialect:    func(db *sql.DB) dialect.Dialect { return postgres.New(db) },
	Open:       openURL,
	Scope:      "SELECT coalesce(current_schema(), '')",
	EndSession: "SELECT pg_terminate_backend(PID), with the pid that is named above, as a role that may: the user's own, or a superuser",
	Position:   position,
}

func newDriver(db *sql.DB, table string) (database.Driver, error) {
	var name string
	if err := db.QueryRowContext(context.Background(), "SELECT current_database()").Scan(&name); err != nil {
		return nil, err
	}
	return pgx.WithInstance(db, &pgx.Config{MigrationsTable: table, DatabaseName: databaseName(name)})
}

// databaseName is what golang-migrate's command takes the database's name to be, and so the lock that it takes: the path of
// its URL.
func databaseName(name string) string { return "/" + name }

// tryLock takes the advisory lock that golang-migrate's own command would take for this table, so the two don't run
// at once. It tries and doesn't wait in the server: a blocked statement would hold up CREATE INDEX CONCURRENTLY.
func tryLock(ctx context.Context, conn *sql.Conn, table string) (bool, error) {
	var name, schema sql.NullString
	if err := conn.QueryRowContext(ctx, "SELECT current_database(), current_schema()").Scan(&name, &schema); err != nil {
		return false, err
	}
	if !schema.Valid {
		return false, errors.New("no schema of the search_path exists: create one, or set search_path")
	}
	id, err := lockID(name.String, schema.String, table)
	if err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return false, err
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

// position converts the server's position, which counts characters from 1.
func position(err error, text string) (line, column int) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Position <= 0 {
		return 0, 0
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
