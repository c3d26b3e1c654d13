package engine

import (
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
)

// ScanSchema reads a row of golang-migrate's version table, version and dirty, into server.
func ScanSchema(server *dialect.Server) func(*sql.Rows, *struct{}) error {
	return func(rows *sql.Rows, _ *struct{}) error {
		var version int64 // golang-migrate writes -1 for none
		err := rows.Scan(&version, &server.Dirty)
		server.Schema = uint(max(version, 0))
		return err
	}
}
