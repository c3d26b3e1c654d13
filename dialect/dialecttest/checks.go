package dialecttest

import (
	"context"
	"errors"
	"strings"

	"github.com/sqllock/sqllock/dialect"
)

// checks: on a database that can serve locks, a closer look says what it has looked at and what to do, and leaves
// nothing behind.
func checks(s *suite) {
	checker := s.d.(dialect.Checker)
	findings, err := settle(s, checker.Check)
	s.must(err)
	if len(findings) == 0 {
		s.Error("nothing was looked at")
	}
	seen := make(map[string]bool)
	for _, f := range findings {
		switch {
		case f.What == "" || f.Found == "" || seen[f.What]:
			s.Errorf("not a finding, or there twice: %+v", f)
		case strings.ToLower(f.What[:1]) != f.What[:1]:
			s.Errorf("%q isn't in lower case", f.What)
		case f.Verdict != dialect.Good && f.Verdict != dialect.Notice && f.Verdict != dialect.Bad:
			s.Errorf("%q isn't a verdict: %+v", f.Verdict, f)
		case (f.Verdict == dialect.Good) != (f.Advice == ""):
			s.Errorf("advice is for what isn't good: %+v", f)
		}
		seen[f.What] = true
		s.Logf("%-6s %s: %s. %s", f.Verdict, f.What, f.Found, f.Advice)
	}
	if rows := s.page(dialect.Key{}, false, 10); len(rows) != 0 {
		s.Errorf("the check left %+v", rows)
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
