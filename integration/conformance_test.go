package integration

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
)

// TestConformance runs the whole suite on every engine, each contract on a database of its own.
func TestConformance(t *testing.T) {
	servers.Every(t, func(t *testing.T, s *servers.Server) {
		dialecttest.Run(t, func(t *testing.T) dialecttest.Harness { return harness(t, s) })
	})
}

func harness(t *testing.T, s *servers.Server) dialecttest.Harness {
	t.Helper()
	return harnessThrough(t, s, func(_ *testing.T, url string) string { return url })
}

// harnessThrough returns a harness on databases that are reached by the URL that through returns.
func harnessThrough(
	t *testing.T, s *servers.Server, through func(t *testing.T, url string) string,
) dialecttest.Harness {
	t.Helper()
	past := s.Database(t)
	direct := connect(t, past)
	direct.DB.SetMaxIdleConns(20) // each new connection costs a server process on PostgreSQL
	if err := migrations.Up(t.Context(), direct.DB, direct.Migrations); err != nil {
		t.Fatal(err)
	}
	url, target := through(t, past), direct
	if url != past {
		target = connect(t, url)
		target.DB.SetMaxIdleConns(20)
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
	if target.Migrations.Name == "sqlserver" {
		h.Isolation, h.ExclusiveGuards = append(h.Isolation, sql.LevelSnapshot), true
		warm(t, target)
	}
	if url != past {
		h.Direct = direct.DB
	}
	h.Before = func(t *testing.T) { s.Lacking(t) }
	h.Powers = powers[target.Migrations.Name]
	if target.Migrations.Name == "sqlserver" {
		_, err := target.DB.ExecContext(t.Context(), "SELECT COUNT(*) FROM sys.dm_tran_locks")
		h.Powers.Holders = err == nil // Babelfish lacks that view
	}
	h.EndSessions = func(t *testing.T) { endSessions(t, target) }
	if target.Migrations.Name == "mysql" && strings.Contains(scan[string](t, target, "SELECT VERSION()"), "-TiDB-") {
		h.New = func(db *sql.DB) dialect.Dialect { return sessionless(mysql.New(db)) }
		h.Dialect, h.Powers, h.ExclusiveGuards = h.New(h.DB), tidbPowers, true
	}
	return h
}

// warm opens connections and runs every statement once on each. Babelfish takes a second for the
// first run, on each connection.
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

// powers lists what each engine supports beyond leases.
var powers = map[string]dialecttest.Powers{
	"sqlite": {Tx: true, Check: true},
	"postgres": {
		Session: true, SessionShared: true, Holders: true, Tx: true, TxShared: true, Check: true, Notifier: true,
	},
	"mysql":     {Session: true, Holders: true, Tx: true, TxShared: true, Check: true},
	"sqlserver": {Session: true, SessionShared: true, Tx: true, TxShared: true, Check: true},
}

// enders has a query for each engine. It returns the statements that end all connections to the
// database except the one that runs the query.
var enders = map[string]string{
	"postgres": `SELECT format('SELECT pg_terminate_backend(%s)', pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	"sqlserver": `SELECT CONCAT('KILL ', session_id) FROM sys.dm_exec_sessions
		WHERE database_id = DB_ID() AND session_id <> @@SPID`,
	"mysql": `SELECT CONCAT('KILL ', id) FROM information_schema.processlist
		WHERE db = DATABASE() AND id <> CONNECTION_ID()`,
}

// endSessions ends all other connections to the database. A connection that ends by itself
// meanwhile is no failure.
func endSessions(t *testing.T, target *open.Database) {
	t.Helper()
	conn, err := target.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var statements []string
	query := enders[target.Migrations.Name]
	for again := true; again; again = unreadable(err) {
		statements, err = column(t.Context(), conn, query)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		_, _ = conn.ExecContext(t.Context(), statement)
	}
}

// column returns the only column that the query selects.
func column(ctx context.Context, conn *sql.Conn, query string) (texts []string, err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}
