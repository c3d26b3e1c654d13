package engine

import "github.com/sqllock/sqllock/dialect"

// Finding returns a finding that is Bad if there is an error, a Notice if there is advice, and
// otherwise Good.
func Finding(what, found, advice string, bad error) dialect.Finding {
	f := dialect.Finding{What: what, Found: found, Verdict: dialect.VerdictGood, Advice: advice}
	switch {
	case bad != nil:
		f.Verdict, f.Advice = dialect.VerdictBad, bad.Error()
	case advice != "":
		f.Verdict = dialect.VerdictNotice
	}
	return f
}
