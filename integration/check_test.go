package integration

import (
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// In a database that is as it should be everything works, and the check leaves nothing behind.
func TestCheck(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		c := client(t, connect(t, database(t, s)), sqllock.Options{})
		findings, err := c.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			t.Logf("%-6s  %s: %s %s", f.Verdict, f.What, f.Found, f.Advice)
			if f.Verdict == sqllock.Bad {
				t.Errorf("%s is %s", f.What, f.Verdict)
			}
		}
		nothingLeft(t, c, patience)
	})
}
