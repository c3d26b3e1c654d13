package sqlserver

import (
	"strings"

	"github.com/sqllock/sqllock/migrations"
)

// historyTable includes the schema in the table's name, as golang-migrate does for its own table.
var historyTable = migrations.HistoryTable{
	Schema:  "SELECT COALESCE(SCHEMA_NAME(), '')",
	Quote:   func(schema, table string) string { return quote(schema) + "." + quote(table) },
	Longest: 128,
	Exists:  "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = @p1 AND TABLE_NAME = @p2",
	Create: "CREATE TABLE %s (id bigint IDENTITY(1,1) NOT NULL PRIMARY KEY, version bigint NOT NULL, name " +
		"nvarchar(400) NOT NULL, direction varchar(10) NOT NULL, how varchar(10) NOT NULL, checksum varchar(64) " +
		"NOT NULL, applied_at datetime2(6) NOT NULL, took_ms bigint NOT NULL, applied_by nvarchar(400) NOT NULL)",
	Insert: "INSERT INTO %s (version, name, direction, how, checksum, applied_at, took_ms, applied_by) " +
		"VALUES (@p1, @p2, @p3, @p4, @p5, SYSUTCDATETIME(), @p6, @p7)",
	List: "SELECT version, name, direction, how, checksum, DATEDIFF_BIG(microsecond, CAST('19700101' AS " +
		"datetime2(7)), applied_at), took_ms, applied_by FROM %s ORDER BY id",
}

func quote(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" }
