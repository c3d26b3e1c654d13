// Package sqlserver contains sqllock's migrations for SQL Server.
package sqlserver

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/sqlserver"
	"github.com/sqllock/sqllock/internal/sqltext"
	"github.com/sqllock/sqllock/migrations"
)

//go:embed *.sql
var files embed.FS

// Engine is the [migrations.Engine] of SQL Server 2019 and later, and of Azure SQL: see
// [migrations.Up]. It needs an *sql.DB of go-mssqldb.
var Engine = &migrations.Engine{
	Name:          "sqlserver",
	Files:         files,
	Driver:        newDriver,
	TryLock:       tryLock,
	Unlock:        unlock,
	Transactional: true,
	Savepoint: migrations.Savepoint{
		Set:  "SAVE TRANSACTION %s", // there is no statement to release it
		Undo: "ROLLBACK TRANSACTION %s",
	},
	Transaction: transaction,
	Syntax:      sqltext.SQLServer,
	History:     historyTable,
	HasTable: "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = SCHEMA_NAME() AND TABLE_NAME = " +
		"@p1",
	Parse: parse,
	Statements: migrations.LockStatements{
		Take:    lockStatement("-1"),
		Try:     lockStatement("0"),
		Release: "EXEC sp_releaseapplock @Resource = @p1, @LockOwner = 'Session'",
		None:    "SELECT CASE WHEN @p1 IS NULL THEN 0 ELSE 0 END",
		Busy:    "try lock failed",
	},
	Dialect: func(db *sql.DB) dialect.Dialect { return sqlserver.New(db) },
	Scope:   "SELECT COALESCE(SCHEMA_NAME(), '')",
	NoScope: errNoSchema,
	EndSession: "KILL and the session's number that is named above, as a login with the permission ALTER ANY " +
		"CONNECTION",
	SeeSession: "the permission VIEW SERVER STATE (in Azure SQL VIEW DATABASE STATE; Babelfish has nothing that " +
		"shows it)",
	Position: position,
	Hint:     hint,
}

// lockStatement returns golang-migrate's own statement, identical to the last blank.
func lockStatement(timeout string) string {
	return "\n\t\tDECLARE @lockResult int;\n\t\tEXEC @lockResult = sp_getapplock @Resource = @p1, @LockMode = " +
		"'Exclusive', @LockOwner = 'Session', @LockTimeout = " + timeout + ";\n\t\tSELECT @lockResult;"
}

// tryLock takes the lock that golang-migrate's own command takes for this database and schema, so
// that both don't migrate at once. Its owner is the session, as there: golang-migrate's driver
// takes the lock again on the same connection, and it is not documented whether a session and its
// transaction exclude each other.
//
// XACT_ABORT is off because otherwise the first error would roll back the whole transaction instead
// of undoing to a savepoint.
func tryLock(ctx context.Context, conn *sql.Conn, _ string) (bool, error) {
	id, err := lockID(ctx, conn)
	if err != nil {
		return false, err
	}
	var status int
	err = conn.QueryRowContext(ctx, lockStatement("0"), id).Scan(&status)
	if err != nil || status < 0 {
		return false, err
	}
	_, err = conn.ExecContext(ctx, "SET XACT_ABORT OFF; BEGIN TRANSACTION")
	return err == nil, err
}

// unlock commits first, because the next holder of the lock must find everything done.
func unlock(ctx context.Context, conn *sql.Conn, _ string) error {
	if _, err := conn.ExecContext(ctx, "COMMIT TRANSACTION"); err != nil {
		return err
	}
	id, err := lockID(ctx, conn)
	if err != nil {
		return err
	}
	var status int
	err = conn.QueryRowContext(ctx, "DECLARE @status int; EXEC @status = sp_releaseapplock @Resource = @p1, "+
		"@LockOwner = 'Session'; SELECT @status", id).Scan(&status)
	if err == nil && status < 0 {
		err = fmt.Errorf("sp_releaseapplock returned %d: the server lost the lock during the migration, so "+
			"another process may have migrated too", status)
	}
	return err
}

func lockID(ctx context.Context, conn *sql.Conn) (string, error) {
	var name, schema sql.NullString
	if err := conn.QueryRowContext(ctx, "SELECT DB_NAME(), SCHEMA_NAME()").Scan(&name, &schema); err != nil {
		return "", err
	}
	if !schema.Valid {
		return "", errNoSchema
	}
	return database.GenerateAdvisoryLockId(name.String, schema.String)
}

// position returns only the line, which the server counts from 1.
func position(err error, _ string) (line, column int) {
	var server interface{ SQLErrorLineNo() int32 }
	if !errors.As(err, &server) {
		return 0, 0
	}
	return int(max(server.SQLErrorLineNo(), 0)), 0
}
