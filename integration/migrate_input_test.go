package integration

import (
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// The server gets the value of a URL's parameter as it is written, whatever characters it has, with
// each command.
func TestMigrateCLIURLValues(t *testing.T) {
	c := buildMigrate(t)
	for engine, values := range map[string]map[string][2]string{
		"postgres15": {
			"my.value=a%20b%2B%26%23%C3%A9+c":        {"current_setting('my.value')", "a b+&#é+c"},
			"options=-c%20statement_timeout%3D54321": {"current_setting('statement_timeout')", "54321ms"},
			"search_path=nothere,%20public":          {"current_setting('search_path')", "nothere, public"},
			"application_name=my%20app":              {"current_setting('application_name')", "my app"},
		},
		"mysql":     {"time_zone=%27%2B05%3A30%27": {"@@time_zone", "+05:30"}},
		"mariadb":   {"time_zone=%27%2B05%3A30%27&": {"@@time_zone", "+05:30"}},
		"sqlserver": {"app+name=a%20b%2Bc%26%23": {"APP_NAME()", "a b+c&#"}},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, engine)
			for parameter, value := range values {
				url := s.Database(t)
				into := "CREATE TABLE seen AS SELECT " + value[0] + " AS value"
				if engine == "sqlserver" {
					into = "SELECT " + value[0] + " AS value INTO seen"
				}
				path := "-path " + folder(t, map[string]string{"1_seen.up.sql": into}) + " "
				c.want(t, withParameter(url, parameter), 0, "1/u seen", path+"up")
				c.want(t, withParameter(url, parameter), 0, "1\n", path+"version")
				if got := scan[string](t, connect(t, url), "SELECT value FROM seen"); got != value[1] {
					t.Errorf("%s: the server has %q, want %q", parameter, got, value[1])
				}
			}
		})
	}
}

// If the connection can create no table, every command says why.
func TestMigrateCLINoSchema(t *testing.T) {
	c := buildMigrate(t)
	for _, engine := range servers.OneOfEachKind(t, "postgres15", "postgres18") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			url := withParameter(servers.Start(t, engine).Database(t), "search_path=nothere")
			path := "-path " + folder(t, map[string]string{"1_a.up.sql": "CREATE TABLE a (n INTEGER)"}) + " "
			for _, line := range []string{
				path + "up", path + "--lock lease up", path + "--lock session up", path + "--lock none up",
				path + "version", path + "status", path + "force 1", path + "drop -f",
				"own up", "own version", "own status",
			} {
				c.want(t, url, 1, "no schema of the search_path exists", line)
			}
		})
	}
}

// With an ambiguous version table every command fails, until force sets the version.
func TestMigrateCLISeveralVersions(t *testing.T) {
	c := buildMigrate(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := s.Database(t)
		path := "-path " + folder(t, steps(3)) + " "
		c.want(t, url, 0, "2/u step", path+"up 2")
		no := map[bool]string{true: "0", false: "false"}[s.Engine == "sqlserver"]
		execute(t, connect(t, url), "INSERT INTO schema_migrations (version, dirty) VALUES (1, "+no+")")
		for _, line := range []string{"up", "version", "status", "down 1", "goto 3"} {
			c.want(t, url, 1, "has 2 rows", path+line)
		}
		c.want(t, url, 0, "", path+"force 2")
		c.want(t, url, 0, "2\n", path+"version")
		c.want(t, url, 0, "3/u step", path+"up")
	})
}

// Of several drops at once, each succeeds: it drops everything, or finds nothing left to drop.
func TestMigrateCLIDropAtOnce(t *testing.T) {
	c := buildMigrate(t)
	private(t, []string{"postgres15", "mysql", "mariadb"}, func(t *testing.T, engine string) {
		url := servers.Start(t, engine).Database(t)
		path := "--lock lease --lock-timeout 60 -path " + folder(t, steps(3)) + " "
		c.want(t, url, 0, "3/u step", path+"up")
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { c.want(t, url, 0, "", path+"drop -f") })
		}
		group.Wait()
	})
}

// If the database accepts connections and then does not respond, the error must not say that
// another process holds the lock.
func TestMigrateCLISlowDatabase(t *testing.T) {
	c := buildMigrate(t)
	url := servers.Start(t, "postgres15").Database(t)
	path := "--lock lease -path " + folder(t, steps(2)) + " "
	c.want(t, url, 0, "2/u step", path+"up")
	tx, err := connect(t, url).DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec("LOCK TABLE sqllock_locks, sqllock_leases IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	c.want(t, url, 4, "the database hasn't answered within 1s", path+"--lock-timeout 1 up")
	c.want(t, url, 4, `"kind": "slow"`, path+"--lock-timeout 1 --json up")
}

// If the server refuses a statement for a well-known reason, the error has a hint.
func TestMigrateCLIHints(t *testing.T) {
	c := buildMigrate(t)
	const delimiter = "Hint: DELIMITER is a command of the client mysql"
	for engine, hints := range map[string]map[string]string{
		"postgres15": {
			"CREATE UNIQUE INDEX CONCURRENTLY t_n ON t (n)": "DROP INDEX CONCURRENTLY t_n;",
			"\\connect other":                  "Hint: \\connect is a command of psql",
			"\ufeffCREATE TABLE u (n INTEGER)": "Hint: the file begins with a byte-order mark",
		},
		"mysql": {
			"DELIMITER //\nCREATE PROCEDURE p() BEGIN SELECT 1; END //": delimiter,
			"\ufeffCREATE TABEL u (n INTEGER)":                          "Hint: the file begins with a byte-order mark",
		},
		"mariadb": {"delimiter $$\nSELECT 1$$": delimiter},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, engine)
			for text, hint := range hints {
				path := "-path " + folder(t, map[string]string{
					"1_t.up.sql":   "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1), (1)",
					"2_bad.up.sql": text,
				}) + " "
				c.want(t, s.Database(t), 1, hint, path+"up")
			}
		})
	}
}

// Through a pooler in statement mode every command fails with the reason.
func TestMigrateCLIPgBouncerInStatementMode(t *testing.T) {
	c := buildMigrate(t)
	pooler := servers.PgBouncer(t, servers.Start(t, "postgres15").Database(t), "pool_mode=statement")
	path := "-path " + folder(t, steps(2)) + " "
	for _, line := range []string{
		"own up", path + "up", path + "--lock session up", path + "--lock lease up", path + "--lock none up",
	} {
		output, code := c.run(t, pooler.URL, strings.Fields(line)...)
		if code == 0 || code == 5 || !strings.Contains(output, "pool_mode=statement") {
			t.Errorf("%s: exit code %d: %s", line, code, output)
		}
	}
}
