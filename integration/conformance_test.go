package integration

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
)

// TestConformance runs the whole suite on every engine, each contract on a database of its own.
func TestConformance(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		dialecttest.Run(t, func(t *testing.T) dialecttest.Harness { return harness(t, s) })
	})
}

func harness(t *testing.T, s *servers.Server) dialecttest.Harness {
	t.Helper()
	url := s.Database(t)
	target := connect(t, url)
	if err := migrations.Up(t.Context(), target.DB, target.Migrations); err != nil {
		t.Fatal(err)
	}
	h := dialecttest.Harness{
		Dialect: target.Dialect,
		DB:      target.DB,
		New:     func(db *sql.DB) dialect.Dialect { return newDialect(url, db) },
		Open:    func(t *testing.T) *sql.DB { return connect(t, url).DB },
		Empty:   func(t *testing.T) *sql.DB { return connect(t, s.Database(t)).DB },
		Isolation: []sql.IsolationLevel{
			sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable,
		},
	}
	switch target.Migrations.Name {
	case "sqlite":
		h.Isolation, h.SingleWriter = []sql.IsolationLevel{sql.LevelSerializable}, true
	case "mysql":
		h.Powers = dialecttest.Powers{Session: true, Holders: true, Tx: true, TxShared: true, Check: true}
		h.EndSessions = func(t *testing.T) { endMySQLSessions(t, target.DB) }
	}
	return h
}

// endMySQLSessions kills every connection to the pool's database but the one that it asks on.
func endMySQLSessions(t *testing.T, db *sql.DB) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.QueryContext(t.Context(),
		"SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		_, _ = conn.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)) // it fails for one that has just ended
	}
}
