// Package sqlserver has sqllock's migrations for SQL Server.
package sqlserver

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4/database"
	migrate "github.com/golang-migrate/migrate/v4/database/sqlserver"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/sqlserver"
	"github.com/sqllock/sqllock/migrations"
)

//go:embed *.sql
var files embed.FS

// Engine is SQL Server, from 2016 on, and Azure SQL: see migrations.Up. It wants an *sql.DB of go-mssqldb.
var Engine = &migrations.Engine{
	Name:          "sqlserver",
	Files:         files,
	Driver:        newDriver,
	TryLock:       tryLock,
	Unlock:        unlock,
	Transactional: true,
	Savepoint: migrations.Savepoint{
		Set:  "SAVE TRANSACTION %s", // which there is no way to release
		Undo: "ROLLBACK TRANSACTION %s",
	},
	HasTable: "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES " +
		"WHERE TABLE_SCHEMA = SCHEMA_NAME() AND TABLE_NAME = @p1",
	MigrateURL: migrateURL,
	Settled:    settled,
	Statements: migrations.LockStatements{
		Take:    lockStatement("-1"),
		Try:     lockStatement("0"),
		Release: "EXEC sp_releaseapplock @Resource = @p1, @LockOwner = 'Session'",
		None:    "SELECT CASE WHEN @p1 IS NULL THEN 0 ELSE 0 END",
		Busy:    "try lock failed",
	},
	Dialect:    func(db *sql.DB) dialect.Dialect { return sqlserver.New(db) },
	Open:       openURL,
	Scope:      "SELECT COALESCE(SCHEMA_NAME(), '')",
	EndSession: "KILL and the session's number that is named above, as a login with the permission ALTER ANY CONNECTION",
	SeeSession: "the permission VIEW SERVER STATE (in Azure SQL VIEW DATABASE STATE; Babelfish has nothing that shows it)",
	Position:   position,
}

// lockStatement is golang-migrate's, to the last blank.
func lockStatement(timeout string) string {
	return "\n\t\tDECLARE @lockResult int;\n\t\tEXEC @lockResult = sp_getapplock @Resource = @p1, @LockMode = 'Exclusive', " +
		"@LockOwner = 'Session', @LockTimeout = " + timeout + ";\n\t\tSELECT @lockResult;"
}

func newDriver(db *sql.DB, table string) (database.Driver, error) {
	return migrate.WithInstance(db, &migrate.Config{MigrationsTable: table})
}

// tryLock takes the lock that golang-migrate's own command takes for this database and schema, so the two don't run at
// once. The owner is the session, as there: golang-migrate's driver takes it once more, on this same connection, and
// whether a session and its transaction are strangers to each other is not documented.
//
// With XACT_ABORT the first error would end the whole transaction, and with it what was undone to no savepoint.
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

// unlock commits first: whoever gets the lock next must find everything done.
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
		err = fmt.Errorf("sp_releaseapplock answered %d: the server had lost the lock meanwhile, so another process may "+
			"have migrated too", status)
	}
	return err
}

func lockID(ctx context.Context, conn *sql.Conn) (string, error) {
	var name, schema sql.NullString
	if err := conn.QueryRowContext(ctx, "SELECT DB_NAME(), SCHEMA_NAME()").Scan(&name, &schema); err != nil {
		return "", err
	}
	if !schema.Valid {
		return "", errors.New("the user has no default schema: set one, with ALTER USER … WITH DEFAULT_SCHEMA")
	}
	return database.GenerateAdvisoryLockId(name.String, schema.String)
}

// position knows the line only, which the server counts from 1.
func position(err error, _ string) (line, column int) {
	var answer interface{ SQLErrorLineNo() int32 }
	if !errors.As(err, &answer) {
		return 0, 0
	}
	return int(max(answer.SQLErrorLineNo(), 0)), 0
}
