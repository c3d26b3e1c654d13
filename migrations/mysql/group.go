package mysql

import (
	"context"
	"database/sql"
	"errors"

	driver "github.com/go-sql-driver/mysql"
	"github.com/golang-migrate/migrate/v4/database"
	migrate "github.com/golang-migrate/migrate/v4/database/mysql"
)

// groupDriver is golang-migrate's driver. Its SetVersion also works on a member of a group with
// several primaries.
type groupDriver struct {
	database.Driver
	db    *sql.DB
	conn  *sql.Conn // the driver's
	table string
}

// openDriver returns golang-migrate's driver on a connection of db. As with golang-migrate, closing
// it also closes db.
func openDriver(db *sql.DB, config *migrate.Config) (database.Driver, error) {
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	inner, err := migrate.WithConnection(ctx, conn, config)
	if err != nil {
		_ = conn.Close() // the other error counts
		return nil, err
	}
	return &groupDriver{inner, db, conn, config.MigrationsTable}, nil
}

// Close closes the driver's connection and db.
func (d *groupDriver) Close() error { return errors.Join(d.Driver.Close(), d.db.Close()) }

// refusedByPlugin is ER_BEFORE_DML_VALIDATION_ERROR. Group replication refuses a transaction with
// it if the isolation level is SERIALIZABLE and group_replication_enforce_update_everywhere_checks
// is on (https://dev.mysql.com/doc/refman/9.0/en/group-replication-limitations.html).
const refusedByPlugin = 3098

// SetVersion records the version. golang-migrate does that in a SERIALIZABLE transaction. Where a
// group refuses that, a transaction of the session's own isolation level does the same.
func (d *groupDriver) SetVersion(version int, dirty bool) error {
	err := d.Driver.SetVersion(version, dirty)
	var failed *database.Error
	var refused *driver.MySQLError
	if !errors.As(err, &failed) || !errors.As(failed.OrigErr, &refused) || refused.Number != refusedByPlugin {
		return err
	}
	ctx := context.Background()
	tx, err := d.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	//nolint:gosec // checkTable has checked the table's name
	if _, err := tx.ExecContext(ctx, "DELETE FROM `"+d.table+"`"); err != nil {
		return err
	}
	if version >= 0 || version == database.NilVersion && dirty {
		//nolint:gosec // likewise
		_, err := tx.ExecContext(ctx, "INSERT INTO `"+d.table+"` (version, dirty) VALUES (?, ?)", version, dirty)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}
