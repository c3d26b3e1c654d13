package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/sqllock/sqllock/migrations"
)

// historyTable includes the schema in the table's name, as golang-migrate does for its own table,
// so that a migration that sets search_path has no effect on it.
var historyTable = migrations.HistoryTable{
	Schema:  "SELECT coalesce(current_schema(), '')",
	Quote:   func(schema, table string) string { return pgx.Identifier{schema, table}.Sanitize() },
	Longest: 63,
	Exists: "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " +
		"WHERE n.nspname = $1::text AND c.relname = $2::text",
	Create: "CREATE TABLE IF NOT EXISTS %s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, version bigint " +
		"NOT NULL, name text NOT NULL, direction text NOT NULL, how text NOT NULL, checksum text NOT NULL, " +
		"applied_at timestamptz NOT NULL, took_ms bigint NOT NULL, applied_by text NOT NULL)",
	Insert: "INSERT INTO %s (version, name, direction, how, checksum, applied_at, took_ms, applied_by) " +
		"VALUES ($1::bigint, $2::text, $3::text, $4::text, $5::text, clock_timestamp(), $6::bigint, $7::text)",
	List: "SELECT version, name, direction, how, checksum, (extract(epoch FROM applied_at) * 1000000)::bigint, " +
		"took_ms, applied_by FROM %s ORDER BY id",
}
