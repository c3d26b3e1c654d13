package mysql

import (
	"strings"

	"github.com/sqllock/sqllock/migrations"
)

// historyTable includes the database in the table's name, so that a migration's USE has no effect
// on it.
var historyTable = migrations.HistoryTable{
	Schema: "SELECT DATABASE()",
	Quote: func(schema, table string) string {
		return "`" + strings.ReplaceAll(schema, "`", "``") + "`.`" + strings.ReplaceAll(table, "`", "``") + "`"
	},
	Longest: 64,
	Exists:  "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
	Create: "CREATE TABLE IF NOT EXISTS %s (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, version BIGINT NOT " +
		"NULL, name TEXT NOT NULL, direction VARCHAR(10) NOT NULL, how VARCHAR(10) NOT NULL, checksum VARCHAR(64) " +
		"NOT NULL, applied_at DATETIME(6) NOT NULL, took_ms BIGINT NOT NULL, applied_by TEXT NOT NULL) CHARACTER " +
		"SET utf8mb4",
	Insert: "INSERT INTO %s (version, name, direction, how, checksum, applied_at, took_ms, applied_by) " +
		"VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(6), ?, ?)",
	List: "SELECT version, name, direction, how, checksum, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', applied_at), " +
		"took_ms, applied_by FROM %s ORDER BY id",
}
