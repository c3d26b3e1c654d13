package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/sqllock/sqllock/integration/servers"
)

// migrateStatus is the output of status --json.
type migrateStatus struct {
	Version    int
	Dirty      bool
	History    string
	Counts     struct{ Applied, Pending, Late, Edited int }
	Migrations []struct {
		Version     int
		State, How  string
		By          string
		Checksum    string
		Recorded_at time.Time //nolint:revive,staticcheck // named like the JSON field
		Took_ms     float64   //nolint:revive,staticcheck // named like the JSON field
	}
}

func (h *migrateStatus) String() string {
	var list []string
	for _, m := range h.Migrations {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%d %s %s", m.Version, m.State, m.How)))
	}
	return strings.Join(list, ", ")
}

// status runs status --json.
func (c migrateCommand) status(t *testing.T, database, path string) *migrateStatus {
	t.Helper()
	output, code := c.run(t, database, strings.Fields(path+"--json status")...)
	h := new(migrateStatus)
	if err := json.Unmarshal([]byte(output), h); err != nil || code != 0 {
		t.Fatalf("status ends with exit code %d: %v: %s", code, err, output)
	}
	return h
}

func (c migrateCommand) wantStatus(t *testing.T, database, path, want string) {
	t.Helper()
	if got := c.status(t, database, path).String(); got != want {
		t.Errorf("status is\n%s\nwant\n%s", got, want)
	}
}

// golangMigrate runs f with golang-migrate itself.
func golangMigrate(t *testing.T, dir, url string, f func(m *migrate.Migrate) error) {
	t.Helper()
	source, err := iofs.New(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithSourceInstance("iofs", source, golangMigrateURL(url))
	if err != nil {
		t.Fatal(err)
	}
	if err := f(m); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		t.Error(err)
	}
	if _, err := m.Close(); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The history beside golang-migrate's version table stays right through a late file, an edited
// file, a redo and a repair, and through runs of golang-migrate before and in between.
func TestMigrateHistory(t *testing.T) {
	c := buildMigrate(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		db := s.Database(t)
		files := map[string]string{}
		for _, v := range []string{"1", "2", "4", "5"} {
			files[v+"_t.up.sql"] = "CREATE TABLE t" + v + " (n INTEGER);\n"
			files[v+"_t.down.sql"] = "DROP TABLE t" + v + ";\n"
		}
		dir := folder(t, files)
		path := "-path " + dir + " "
		golangMigrate(t, dir, db, func(m *migrate.Migrate) error { return m.Steps(1) })
		c.wantStatus(t, db, path, "1 applied, 2 pending, 4 pending, 5 pending")
		c.want(t, db, 7, "version 1, 3 pending", path+"status --exit-code")

		c.want(t, db, 0, "2/u t", path+"up 1")
		c.wantStatus(t, db, path, "1 applied found, 2 applied run, 4 pending, 5 pending")
		h := c.status(t, db, path)
		if m := h.Migrations[1]; time.Since(m.Recorded_at).Abs() > 10*time.Minute || m.Took_ms <= 0 ||
			!strings.HasPrefix(m.By, "sqllock-migrate@"+hostname(t)) || len(m.Checksum) != 64 ||
			!strings.Contains(h.History, "schema_migrations_history") {
			t.Errorf("the status of a migration that was run is %+v", h)
		}
		golangMigrate(t, dir, db, func(m *migrate.Migrate) error { return m.Steps(1) })
		c.wantStatus(t, db, path, "1 applied found, 2 applied run, 4 applied, 5 pending")
		c.want(t, db, 0, "5/u t", path+"up")

		write(t, dir, "3_late.up.sql", "CREATE TABLE t3 (n INTEGER);")
		write(t, dir, "3_late.down.sql", "DROP TABLE t3;")
		c.want(t, db, 1, "3_late.up.sql: not applied", path+"up")
		c.want(t, db, 1, "3_late.up.sql", path+"goto 5")
		c.want(t, db, 7, "1 late", path+"status --exit-code")
		c.want(t, db, 0, "3/u late", path+"up --allow-missing")
		c.want(t, db, 0, "5\n", path+"version")
		c.want(t, db, 0, "version 5, 0 pending", path+"status --exit-code")

		write(t, dir, "5_t.up.sql", "CREATE TABLE t5 (n INTEGER, m INTEGER);")
		c.want(t, db, 1, "5_t.up.sql: changed", path+"up")
		c.want(t, db, 0, "5/u t", path+"redo")
		write(t, dir, "2_t.up.sql", "-- why\nCREATE TABLE t2 (n INTEGER);\n")
		c.want(t, db, 1, "2_t.up.sql: changed", path+"up")
		c.want(t, db, 0, "repaired 1", path+"repair -f")
		c.want(t, db, 0, "no change", path+"up")
		c.wantStatus(t, db, path, "1 applied found, 2 applied run, 3 applied run, 4 applied found, 5 applied run")

		// golang-migrate continues from the state that this command leaves, and the other way
		// around.
		golangMigrate(t, dir, db, func(m *migrate.Migrate) error { return m.Down() })
		c.wantStatus(t, db, path, "1 pending, 2 pending, 3 pending, 4 pending, 5 pending")
		c.want(t, db, 0, "5/u t", path+"up")
		golangMigrate(t, dir, db, func(m *migrate.Migrate) error { return m.Migrate(2) })
		c.want(t, db, 0, "", path+"force 4")
		c.wantStatus(t, db, path, "1 applied run, 2 applied run, 3 applied forced, 4 applied forced, 5 pending")
		c.want(t, db, 0, "", path+"drop -f")
		c.wantStatus(t, db, path, "1 pending, 2 pending, 3 pending, 4 pending, 5 pending")
	})
}

// A version table with another name has its own history table in the same schema, whatever the
// names are, and even if a migration changes the session's search_path.
func TestMigrateHistoryOfAnotherTable(t *testing.T) {
	c := buildMigrate(t)
	long := strings.Repeat("v", 60)
	for engine, tables := range map[string][]string{
		"postgres15": {
			"x-migrations-table=%22my%20schema%22.%22Versions%22&x-migrations-table-quoted=true",
			"x-migrations-table=" + long,
		},
		"postgres18": {"x-migrations-table=Mixed%22quote"},
		"mysql":      {"x-migrations-table=my%20versions", "x-migrations-table=" + long},
		"mariadb":    {"x-migrations-table=select"},
		"sqlserver":  {"x-migrations-table=select"},
		"sqlite":     {"x-migrations-table=my%20versions", "x-migrations-table=" + long},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			for _, table := range tables {
				db := servers.Start(t, engine).Database(t)
				if strings.HasPrefix(engine, "postgres") {
					b := newMigrateBench(t, db)
					_, err := b.DB.ExecContext(t.Context(), `CREATE SCHEMA "my schema"`)
					b.must(err)
				}
				mine := withParameter(db, table)
				texts := map[string]string{
					"1_a.up.sql": "CREATE TABLE a (n INTEGER);", "2_b.up.sql": "CREATE TABLE b (n INTEGER);",
				}
				if strings.HasPrefix(engine, "postgres") {
					texts["1_a.up.sql"] += `SET search_path = "my schema";`
				}
				path := "-path " + folder(t, texts) + " "
				c.want(t, mine, 0, "2/u b", path+"up")
				c.wantStatus(t, mine, path, "1 applied run, 2 applied run")
				c.want(t, mine, 0, "no change", path+"up")
				c.want(t, mine, 0, "", path+"down -all")
				c.wantStatus(t, mine, path, "1 pending, 2 pending")
			}
		})
	}
}
