package integration

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/internal/engine"
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
	return harnessThrough(t, s, func(_ *testing.T, url string) string { return url })
}

// harnessThrough is a harness on databases that are reached in that way.
func harnessThrough(t *testing.T, s *servers.Server, through func(t *testing.T, url string) string) dialecttest.Harness {
	t.Helper()
	url := s.Database(t)
	direct := connect(t, url)
	if err := migrations.Up(t.Context(), direct.DB, direct.Migrations); err != nil {
		t.Fatal(err)
	}
	url = through(t, url)
	target := connect(t, url)
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
	if target.Migrations.Name == "sqlserver" {
		h.Isolation, h.ExclusiveGuards = append(h.Isolation, sql.LevelSnapshot), true
		warm(t, target)
	}
	h.Before = func(t *testing.T) { s.Lacking(t) }
	h.Powers = powers[target.Migrations.Name]
	if target.Migrations.Name == "sqlserver" {
		_, err := target.DB.ExecContext(t.Context(), "SELECT COUNT(*) FROM sys.dm_tran_locks")
		h.Powers.Holders = err == nil // Babelfish doesn't have it
	}
	h.EndSessions = func(t *testing.T) { endSessions(t, target) }
	return h
}

// warm makes connections, and has each run everything once. Babelfish takes a second for the first time, on each.
func warm(t *testing.T, target *open.Database) {
	t.Helper()
	const connections = 5
	target.DB.SetMaxIdleConns(2 * connections)
	var group sync.WaitGroup
	for range connections {
		group.Go(func() {
			if _, err := target.Dialect.Probe(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// powers are what each engine has beyond leases.
var powers = map[string]dialecttest.Powers{
	"sqlite":    {Tx: true, Check: true},
	"postgres":  {Session: true, SessionShared: true, Holders: true, Tx: true, TxShared: true, Check: true, Wakes: true},
	"mysql":     {Session: true, Holders: true, Tx: true, TxShared: true, Check: true},
	"sqlserver": {Session: true, SessionShared: true, Tx: true, TxShared: true, Check: true},
}

// enders are queries for the statements that end all connections to the database but the one that asks.
var enders = map[string]string{
	"postgres": `SELECT format('SELECT pg_terminate_backend(%s)', pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	"sqlserver": "SELECT CONCAT('KILL ', session_id) FROM sys.dm_exec_sessions WHERE database_id = DB_ID() AND session_id <> @@SPID",
	"mysql":     "SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}

// endSessions ends all connections to the database. One that ends by itself meanwhile is no mistake.
func endSessions(t *testing.T, target *open.Database) {
	t.Helper()
	conn, err := target.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var statements []string
	for again := true; again; again = unreadable(err) {
		statements, err = engine.Query(t.Context(), conn, engine.One[string], enders[target.Migrations.Name])
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		_, _ = conn.ExecContext(t.Context(), statement)
	}
}
