package sqllock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
)

// Finding is one thing that [Client.Check] looked at.
type Finding = dialect.Finding

// Verdict says what a [Finding] means for locks.
type Verdict = dialect.Verdict

// The verdicts, the best one first.
const (
	VerdictGood   = dialect.VerdictGood   // nothing to do
	VerdictNotice = dialect.VerdictNotice // locks work, but something may surprise
	VerdictBad    = dialect.VerdictBad    // something does not work here and is refused
)

// checkName is the name of the lock that Check takes.
const checkName = "sqllock check"

// Check examines more closely than [New] whether locks can be trusted in this database, and what
// may surprise. It lets two callers compete for a lease lock and two connections for a session
// lock, and asks the engine about the server's settings. Its result is for people, for instance in
// a diagnostic command or in the log at start. It blocks until the database has answered. It
// returns an error only if ctx ends or the [Client] is closed; everything else is a [Finding].
//
// Members are other servers of the cluster. Check compares their clocks with that of the server
// that it is connected to, and reports the greatest difference and whether ClockSkew covers it. It
// says so if the server knows of others that aren't among the members.
func (c *Client) Check(ctx context.Context, members ...Member) ([]Finding, error) {
	if c.store.Open().Err() != nil {
		return nil, errClosed
	}
	findings := []Finding{checkLeases(ctx, c), checkSessions(ctx, c)}
	if checker, ok := c.store.Dialect.(dialect.Checker); ok && ctx.Err() == nil {
		more, err := checker.Check(ctx)
		if err != nil && ctx.Err() == nil {
			more = []Finding{{
				What: "the server's settings", Found: err.Error(), Verdict: VerdictBad,
				Advice: "see that the server can be reached, then check again",
			}}
		}
		findings = append(findings, more...)
	}
	if ctx.Err() == nil {
		findings = append(findings, checkClocks(ctx, c, members)...)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("sqllock: the check was interrupted: %w", fail.Ended(ctx))
	}
	return findings, nil
}

func checkLeases(ctx context.Context, c *Client) Finding {
	f := Finding{What: "lease locks", Found: "of two callers that want a lock, one gets it", Verdict: VerdictGood}
	if err := competeForLease(ctx, c); err != nil {
		f.Found, f.Verdict = err.Error(), VerdictBad
		f.Advice = "don't use lease locks here until this is fixed"
		if errors.Is(err, ErrSchema) {
			f.Advice = "run `sqllock-migrate own up`"
		}
	}
	return f
}

// competeForLease requests a lock that is held, with another owner token.
func competeForLease(ctx context.Context, c *Client) error {
	return c.Do(ctx, checkName, func(ctx context.Context, l *Lock) error {
		rival := dialect.Request{Key: l.claim.Key, LeaseID: l.lease.id, Owner: rand.Text()}
		grants, err := c.store.Acquire(ctx, []dialect.Request{rival})
		switch {
		case err != nil:
			return c.store.failed("competing for a lock", err)
		case grants[0].Granted:
			return errors.New("sqllock: a lock that was held was granted again")
		}
		return nil
	})
}

func checkSessions(ctx context.Context, c *Client) Finding {
	f := Finding{What: "session locks", Found: "of two connections that want a lock, one gets it", Verdict: VerdictGood}
	if _, err := c.sessions.locker(); err != nil {
		return Finding{
			What: "session locks", Found: "none: " + c.store.Name() + " has no such locks", Verdict: VerdictNotice,
			Advice: "use lease locks, which are the default",
		}
	}
	if err := c.sessions.compete(ctx); err != nil {
		f.Found, f.Verdict = err.Error(), VerdictBad
		f.Advice = "use lease locks, which are the default, instead of Session()"
	}
	return f
}
