package sqlite

import (
	"strings"

	"github.com/sqllock/sqllock/migrations"
)

// historyTable is always in the main file, whatever databases a migration has attached.
var historyTable = migrations.HistoryTable{
	Schema: "SELECT 'main'",
	Quote: func(schema, table string) string {
		return schema + `."` + strings.ReplaceAll(table, `"`, `""`) + `"`
	},
	Exists: "SELECT count(*) FROM main.sqlite_master WHERE type = 'table' AND ? = 'main' AND name = ? COLLATE NOCASE",
	Create: "CREATE TABLE IF NOT EXISTS %s (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL, " +
		"direction TEXT NOT NULL, how TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL, took_ms " +
		"INTEGER NOT NULL, applied_by TEXT NOT NULL)",
	Insert: "INSERT INTO %s (version, name, direction, how, checksum, applied_at, took_ms, applied_by) " +
		"VALUES (?, ?, ?, ?, ?, datetime('now', 'subsec'), ?, ?)",
	List: "SELECT version, name, direction, how, checksum, CAST(round(unixepoch(applied_at, 'subsec') * 1000000) " +
		"AS INTEGER), took_ms, applied_by FROM %s ORDER BY id",
}
