package integration

import (
	"database/sql"
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
	if target.Migrations.Name == "sqlite" {
		h.Isolation, h.SingleWriter = []sql.IsolationLevel{sql.LevelSerializable}, true
	}
	return h
}
