package engine

import "github.com/sqllock/sqllock/dialect"

// Finding is Bad where there is an error that says what can't be had, a Notice where there is advice, else Good.
func Finding(what, found, advice string, bad error) dialect.Finding {
	f := dialect.Finding{What: what, Found: found, Verdict: dialect.Good, Advice: advice}
	switch {
	case bad != nil:
		f.Verdict, f.Advice = dialect.Bad, bad.Error()
	case advice != "":
		f.Verdict = dialect.Notice
	}
	return f
}
