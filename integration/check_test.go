package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// In a healthy database, Check finds nothing bad. It has tried a lock of each kind that the engine
// has, gives advice with each notice, and leaves nothing behind.
func TestCheck(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		c := client(t, connect(t, database(t, s)), sqllock.Options{})
		findings, err := c.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var checked []string
		for _, f := range findings {
			t.Logf("%-6s  %s: %s %s", f.Verdict, f.What, f.Found, f.Advice)
			checked = append(checked, f.What)
			if f.Verdict == sqllock.VerdictBad || f.Found == "" || f.Verdict == sqllock.VerdictNotice &&
				f.Advice == "" {
				t.Errorf("%s is %s: found %q, advice %q", f.What, f.Verdict, f.Found, f.Advice)
			}
		}
		for what, verdict := range tried(s) {
			i := slices.Index(checked, what)
			if i < 0 || findings[i].Verdict != verdict ||
				verdict == sqllock.VerdictGood && !strings.Contains(findings[i].Found, "one gets it") {
				t.Errorf("no finding %q with verdict %s that shows two competing connections; Check found %q",
					what, verdict, checked)
			}
		}
		if len(checked) <= len(tried(s)) {
			t.Errorf("Check found nothing about the server itself: %q", checked)
		}
		held, err := heldLocks(t.Context(), c)
		if err != nil || len(held) > 0 {
			t.Errorf("Check has left the locks %q, %v", held, err)
		}
	})
}

// tried returns the kinds of locks that Check tries with two competing connections, and the verdict
// of each on s.
func tried(s *servers.Server) map[string]sqllock.Verdict {
	sessions := sqllock.VerdictGood
	if s.Provider == "embedded" { // it has no session locks, and Check says so
		sessions = sqllock.VerdictNotice
	}
	return map[string]sqllock.Verdict{"lease locks": sqllock.VerdictGood, "session locks": sessions}
}

// wantClocksCompared checks that the first server of a cluster knows of the others, and compares
// the clocks of all of them, which are this machine's.
func wantClocksCompared(t *testing.T, targets []*open.Database) {
	t.Helper()
	c := client(t, targets[0], sqllock.Options{})
	others, err := targets[0].Dialect.(dialect.MemberLister).Members(t.Context())
	if err != nil || len(others) != len(targets)-1 {
		t.Errorf("the first of %d servers knows of %q, %v", len(targets), others, err)
	}
	var members []sqllock.Member
	for i, target := range targets[1:] {
		members = append(members, sqllock.Member{Name: others[i], Dialect: target.Dialect})
	}
	findings, err := c.Check(t.Context(), members...)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(findings, func(f sqllock.Finding) bool { return f.What == "clocks of the servers" })
	if i < 0 {
		t.Errorf("Check of %d servers found %+v", len(targets), findings)
		return
	}
	t.Logf("%s: %s", findings[i].Verdict, findings[i].Found)
	for _, f := range findings {
		if f.What == "clocks of the other servers" {
			t.Errorf("all members are compared, and Check found %+v", f)
		}
	}
}
