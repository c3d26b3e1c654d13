// Package mysql contains sqllock's migrations for MySQL and MariaDB.
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

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/internal/sqltext"
	"github.com/sqllock/sqllock/migrations"
)

//go:embed *.sql
var files embed.FS

// Engine is the [migrations.Engine] of MySQL and MariaDB: see [migrations.Up]. DDL commits by
// itself there, so each of sqllock's own files is one statement. GET_LOCK is local to a server: let
// the processes of a Galera cluster migrate through the same node.
var Engine = &migrations.Engine{
	Name:     "mysql",
	Files:    files,
	Driver:   newDriver,
	TryLock:  tryLock,
	Unlock:   unlock,
	History:  historyTable,
	HasTable: "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
	Parse:    parse,
	Syntax:   sqltext.MySQL,
	Transaction: migrations.Transaction{
		Begin: "START TRANSACTION", Commit: "COMMIT", Rollback: "ROLLBACK",
		Wrap: wrap,
	},
	Session: migrations.Session{
		ID:      "SELECT CONNECTION_ID()",
		Running: "SELECT info FROM information_schema.processlist WHERE id = ?",
		Cancel:  "KILL QUERY %d",

		WaitsFor: waitsFor,
	},
	Statements: migrations.LockStatements{
		Take: "SELECT GET_LOCK(?, 10)", Try: "SELECT GET_LOCK(?, 0)", Release: "SELECT RELEASE_LOCK(?)",
		None: "SELECT ? IS NOT NULL",
	},
	Dialect: func(db *sql.DB) dialect.Dialect { return mysql.New(db) },
	Single: migrations.Single{
		Probe:   "DO 0; DO 0",
		Refused: isSyntaxError,
		Advice:  "add multiStatements=true to the data source name for go-sql-driver",
	},
	EndSession: "KILL and the connection's id that is named above, as a user with the privilege CONNECTION_ADMIN " +
		"or SUPER, or as the same user",
	Position: position,
	Hint:     hint,
}

// tryLock takes the lock that golang-migrate's own command takes for this table, so that both don't
// migrate at once.
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
		return false, errors.New("the server couldn't take the lock: GET_LOCK returned NULL")
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
		return errors.New("the server lost the lock during the migration, so another process may have migrated too")
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

// wrap cuts off everything after the last statement, because the server reports a second ; there as
// a syntax error.
func wrap(text string) migrations.Wrap {
	w := migrations.Wrap{Text: text, Apart: "MySQL and MariaDB commit before and after each DDL statement"}
	if all := sqltext.Split(text, sqltext.MySQL); len(all) > 0 {
		w.Text = text[:all[len(all)-1].End]
	}
	return w
}

// waitsFor are queries for the lock of a table and of a row on MySQL, for the lock of a row on
// MariaDB, and for what both show to every account.
var waitsFor = []string{
	`SELECT CONCAT('a lock on ', w.object_schema, '.', w.object_name, ' of connection ', t.processlist_id, ' (',
			CONCAT_WS(', ', t.processlist_user, t.processlist_host, t.processlist_command,
				CONCAT('for ', t.processlist_time, 's')), ')')
		FROM performance_schema.metadata_locks AS w
		JOIN performance_schema.threads AS own ON own.thread_id = w.owner_thread_id AND own.processlist_id = ?
		JOIN performance_schema.metadata_locks AS g ON g.object_type = w.object_type
			AND g.object_schema = w.object_schema AND g.object_name = w.object_name
			AND g.lock_status = 'GRANTED' AND g.owner_thread_id <> w.owner_thread_id
		JOIN performance_schema.threads AS t ON t.thread_id = g.owner_thread_id
		WHERE w.lock_status = 'PENDING' LIMIT 3`,
	`SELECT CONCAT('a row''s lock of connection ', b.trx_mysql_thread_id,
			' (in a transaction since ', b.trx_started, ')')
		FROM performance_schema.data_lock_waits AS w
		JOIN information_schema.innodb_trx AS own ON own.trx_id = w.requesting_engine_transaction_id
			AND own.trx_mysql_thread_id = ?
		JOIN information_schema.innodb_trx AS b ON b.trx_id = w.blocking_engine_transaction_id LIMIT 3`,
	`SELECT CONCAT('a row''s lock of connection ', b.trx_mysql_thread_id,
			' (in a transaction since ', b.trx_started, ')')
		FROM information_schema.innodb_lock_waits AS w
		JOIN information_schema.innodb_trx AS own ON own.trx_id = w.requesting_trx_id
			AND own.trx_mysql_thread_id = ?
		JOIN information_schema.innodb_trx AS b ON b.trx_id = w.blocking_trx_id LIMIT 3`,
	`SELECT CONCAT('a lock of another session, which this server doesn''t name (', state, ')')
		FROM information_schema.processlist WHERE id = ? AND state LIKE 'Waiting for%lock%'`,
}

// isSyntaxError reports whether the server couldn't parse a statement.
func isSyntaxError(err error) bool {
	var e *driver.MySQLError
	return errors.As(err, &e) && e.Number == 1064
}

var near = regexp.MustCompile(`(?s) near '(.*)' at line (\d+)$`)

// position reads the position from MySQL's message, which has one only for syntax errors. The
// message quotes the text from there on, and gives a line that counts from the beginning of the
// statement; a file may have several statements.
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
	if len(sqltext.Split(text, sqltext.MySQL)) > 1 {
		return 0, 0
	}
	line, _ = strconv.Atoi(match[2])
	return line, 0
}
