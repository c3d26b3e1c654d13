package integration

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
)

// noiseTTL is long enough for a machine that stalls for a moment. With a shorter TTL statements
// would time out, and the server logs a canceled statement as an error.
const noiseTTL = 3 * time.Second

// noise matches lines that contended locks must not cause in a server's log.
var noise = map[string]*regexp.Regexp{
	"postgres": regexp.MustCompile(` (ERROR|FATAL|PANIC|WARNING): `),
	"mysql":    regexp.MustCompile(`\[ERROR\]`),
}

// Many processes compete for few locks of every kind, which are taken, waited for, released, run
// out, reaped and purged. All of that is ordinary work for the server, so it logs no errors.
func TestNoNoise(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine)
		prepare(t, server.URL)
		target := connect(t, server.URL)
		before := logLength(t, server)

		worker := setup{URL: server.URL, TTL: noiseTTL, ReapEvery: 100 * time.Millisecond, PurgeAfter: time.Millisecond}
		c := startLoad(t, 3, worker, loadRoutines, 2)
		for _, victim := range []int{0, 1, 2} {
			c.check.awaitEach(t, 3, c.alive()...)
			thawed, err := c.workers[victim].send("freeze", struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			outlive(t, target, int64(victim+1), noiseTTL)
			c.workers[victim].cont()
			if _, err := receive[any](c.workers[victim], "freeze", thawed, stepTimeout); err != nil {
				t.Fatal(err)
			}
		}
		c.finish(t)
		c.check.prove(t, target.DB)
		contendInTx(t, target, c.workers...)
		for _, line := range noisy(t, server, target, before) {
			t.Errorf("in the server's log: %s", line)
		}

		provoke(t, target)
		await(t, "a line in the log about an error on purpose", stepTimeout, func() bool {
			return len(noisy(t, server, target, before)) > 0
		})
	})
}

func logLength(t *testing.T, server *servers.Instance) int {
	t.Helper()
	text, err := os.ReadFile(server.Log())
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

// noisy returns the lines that match noise in the server's log, from the offset since on.
func noisy(t *testing.T, server *servers.Instance, target *open.Database, since int) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(server.Log())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text[since:]), "\n") {
		if noise[target.Dialect.Name()].MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// provoke makes the server log an error.
func provoke(t *testing.T, target *open.Database) {
	t.Helper()
	if target.Dialect.Name() == "mysql" {
		execute(t, target, "SET GLOBAL event_scheduler = ON",
			"CREATE EVENT fails ON SCHEDULE AT CURRENT_TIMESTAMP DO INSERT INTO missing VALUES (1)")
	} else if _, err := target.DB.ExecContext(t.Context(), "SELECT 1/0"); err == nil {
		t.Error("SELECT 1/0 did not fail")
	}
}
