package dialecttest

import (
	"context"
	"errors"
	"strings"

	"github.com/sqllock/sqllock/dialect"
)

// checks verifies that Check, on a database that can serve locks, returns findings with advice, and
// leaves nothing behind.
func checks(s *suite) {
	checker := s.d.(dialect.Checker)
	findings, err := retryTransient(s, checker.Check)
	s.must(err)
	if len(findings) == 0 {
		s.Error("there are no findings")
	}
	seen := make(map[string]bool)
	for _, f := range findings {
		switch {
		case f.What == "" || f.Found == "" || seen[f.What]:
			s.Errorf("not a finding, or there twice: %+v", f)
		case strings.ToLower(f.What[:1]) != f.What[:1]:
			s.Errorf("%q isn't in lower case", f.What)
		case f.Verdict != dialect.VerdictGood && f.Verdict != dialect.VerdictNotice && f.Verdict != dialect.VerdictBad:
			s.Errorf("%q isn't a verdict: %+v", f.Verdict, f)
		case (f.Verdict == dialect.VerdictGood) != (f.Advice == ""):
			s.Errorf("advice is for what isn't good: %+v", f)
		}
		seen[f.What] = true
		s.Logf("%-6s %s: %s. %s", f.Verdict, f.What, f.Found, f.Advice)
	}
	if rows := s.page(dialect.Key{}, false, 10); len(rows) != 0 {
		s.Errorf("after Check there remain %+v", rows)
	}
	if s.DB != nil {
		s.noRows("sqllock_leases")
		s.noRows("sqllock_locks")
	}
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := checker.Check(cancelled); !errors.Is(err, context.Canceled) {
		s.Errorf("with a ctx that has ended: %v", err)
	}
}
