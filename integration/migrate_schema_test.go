package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// The SQL that `sqllock-migrate schema` prints makes tables that a Client takes, without the
// version table that `own up` keeps. On MySQL and MariaDB it is sent a statement at a time, as
// their own command mysql does.
func TestMigrateSchema(t *testing.T) {
	c := buildMigrate(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		script, code := c.run(t, "", "schema", strings.TrimRight(s.Engine, "0123456789"))
		if code != 0 {
			t.Fatalf("schema ends with exit code %d: %s", code, script)
		}
		statements := []string{script}
		if s.Engine == "mysql" || s.Engine == "mariadb" {
			statements = withoutComments(script)
		}
		target := connect(t, s.Database(t))
		execute(t, target, statements...)
		locks := client(t, target, sqllock.Options{})
		mustRelease(t, mustTry(t, locks, "job"))
	})
}

// The tests of dialect/sqlite make their tables from a copy of that SQL: they are in another module
// than the migrations, and may not read them.
func TestMigrateSchemaCopy(t *testing.T) {
	script, code := buildMigrate(t).run(t, "", "schema", "sqlite")
	text, err := os.ReadFile("../dialect/sqlite/testdata/tables.sql")
	if err != nil || code != 0 {
		t.Fatalf("exit code %d: %s; %v", code, script, err)
	}
	if string(text) != script {
		t.Errorf("dialect/sqlite/testdata/tables.sql is not what `sqllock-migrate schema sqlite` prints:\n%s", script)
	}
}

// withoutComments splits a script that has no semicolon within a line into its statements.
func withoutComments(script string) (statements []string) {
	var code strings.Builder
	for line := range strings.Lines(script) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			code.WriteString(line)
		}
	}
	for statement := range strings.SplitSeq(code.String(), ";\n") {
		if strings.TrimSpace(statement) != "" {
			statements = append(statements, statement)
		}
	}
	return statements
}
