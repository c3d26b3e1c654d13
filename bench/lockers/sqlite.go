package lockers

import "github.com/sqllock/sqllock/dialect/sqlite"

func onSQLite(server string) []Kind {
	one := func(int) int { return 1 } // SQLite has one writer at a time, so a queue in the process is best
	return []Kind{
		sqllockOn(server, "as it comes"),
		{
			Name: "by hand, a row", Server: server, Waits: polls, Open: sqliteRow.open(sqlite.Open, one),
			Prepare: sqliteRow.prepare(sqlite.Open),
		},
	}
}

var sqliteRow = rowStatements{
	table: `CREATE TABLE IF NOT EXISTS bench_locks (name TEXT NOT NULL PRIMARY KEY, holder TEXT, owner TEXT,
		fence INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
	take: `UPDATE bench_locks SET holder = ?1, owner = ?2, fence = fence + 1, expires_at = ` + sqliteNow + ` + ?3
		WHERE name = ?4 AND (owner IS NULL OR expires_at <= ` + sqliteNow + `)`,
	create: `INSERT OR IGNORE INTO bench_locks (name, holder, owner, fence, expires_at)
		VALUES (?1, ?2, ?3, 1, ` + sqliteNow + ` + ?4)`,
	free:  `UPDATE bench_locks SET holder = NULL, owner = NULL WHERE name = ?1 AND owner = ?2`,
	renew: `UPDATE bench_locks SET expires_at = ` + sqliteNow + ` + ?1 WHERE holder = ?2`,
}

const sqliteNow = `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`
