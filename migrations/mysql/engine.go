// Package mysql has sqllock's migrations for MySQL and MariaDB.
package mysql

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"regexp"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"
	"github.com/golang-migrate/migrate/v4/database"
	migrate "github.com/golang-migrate/migrate/v4/database/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/internal/dburl"
	"github.com/sqllock/sqllock/migrations"
)

//go:embed *.sql
var files embed.FS

// Engine is MySQL and MariaDB: see migrations.Up. DDL commits by itself there, so every file is one statement. GET_LOCK
// is local to a server: let the processes of a Galera cluster migrate through the same node.
var Engine = &migrations.Engine{
	Name:       "mysql",
	Files:      files,
	Driver:     newDriver,
	TryLock:    tryLock,
	Unlock:     unlock,
	HasTable:   "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
	MigrateURL: migrateURL,
	NoLock:     "x-no-lock=true",
	Statements: migrations.LockStatements{
		Take: "SELECT GET_LOCK(?, 10)", Try: "SELECT GET_LOCK(?, 0)", Release: "SELECT RELEASE_LOCK(?)",
		None: "SELECT ? IS NOT NULL",
	},
	Dialect:    func(db *sql.DB) dialect.Dialect { return mysql.New(db) },
	Open:       openURL,
	Several:    "DO 0; DO 0",
	EndSession: "KILL and the connection's id that is named above, as a user with the privilege CONNECTION_ADMIN or SUPER, or as the same user",
	Position:   position,
}

func newDriver(db *sql.DB, table string) (database.Driver, error) {
	return migrate.WithInstance(db, &migrate.Config{MigrationsTable: table})
}

// tryLock takes the lock that golang-migrate's own command would take for this table, so the two don't run at once.
func tryLock(ctx context.Context, conn *sql.Conn, table string) (bool, error) {
	name, err := lockName(ctx, conn, table)
	if err != nil {
		return false, err
	}
	var locked sql.NullBool
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0)", name).Scan(&locked); err != nil {
		return false, err
	}
	if !locked.Valid {
		return false, errors.New("the server couldn't take the lock: GET_LOCK answered NULL")
	}
	return locked.Bool, nil
}

func unlock(ctx context.Context, conn *sql.Conn, table string) error {
	name, err := lockName(ctx, conn, table)
	if err != nil {
		return err
	}
	var released sql.NullBool
	if err := conn.QueryRowContext(ctx, "SELECT RELEASE_LOCK(?)", name).Scan(&released); err != nil {
		return err
	}
	if !released.Bool {
		return errors.New("the server had lost the lock meanwhile, so another process may have migrated too")
	}
	return nil
}

func lockName(ctx context.Context, conn *sql.Conn, table string) (string, error) {
	var name sql.NullString
	if err := conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&name); err != nil {
		return "", err
	}
	if !name.Valid {
		return "", errors.New("no database is selected: name one in the data source name")
	}
	return database.GenerateAdvisoryLockId(name.String + ":" + table)
}

var near = regexp.MustCompile(`(?s) near '(.*)' at line (\d+)$`)

// position reads what MySQL has in the message of a syntax error only: the text from there on, and the line, which
// counts from the beginning of the statement, of which a file may have several.
func position(err error, text string) (line, column int) {
	var e *driver.MySQLError
	if !errors.As(err, &e) {
		return 0, 0
	}
	match := near.FindStringSubmatch(e.Message)
	if match == nil {
		return 0, 0
	}
	if match[1] != "" && strings.Count(text, match[1]) == 1 {
		before, _, _ := strings.Cut(text, match[1])
		return strings.Count(before, "\n") + 1, len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	}
	if strings.Contains(strings.TrimRight(text, "; \t\r\n"), ";") {
		return 0, 0
	}
	line, _ = strconv.Atoi(match[2])
	return line, 0
}

// openURL is a pool for locks with all that a URL for migrateURL says, golang-migrate's own parameters left out.
func openURL(raw string) (*sql.DB, dialect.Dialect, error) {
	rest, settings := dburl.CutMigrate(raw)
	if err := registerTLS(rest, settings); err != nil {
		return nil, nil, err
	}
	connector, err := mysql.Connector(rest)
	if err != nil {
		return nil, nil, err
	}
	db := sql.OpenDB(connector)
	return db, mysql.New(db, mysql.WithConnector(connector)), nil
}

// migrateURL is the URL in the form that go-sql-driver parses.
func migrateURL(raw string) (string, error) {
	dsn, err := dburl.MySQL(raw)
	if err != nil {
		return "", err
	}
	_, query, found := strings.Cut(dsn[strings.LastIndexByte(dsn, ')')+1:], "?")
	switch {
	case !found:
		dsn += "?timeout=10s"
	case !strings.HasPrefix(query, "timeout=") && !strings.Contains(query, "&timeout="):
		dsn += "&timeout=10s"
	}
	return "mysql://" + dsn, nil
}
