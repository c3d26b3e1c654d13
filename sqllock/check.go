package sqllock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// Finding is one thing that Check looked at.
type Finding = dialect.Finding

// Verdict is what a Finding means for locks.
type Verdict = dialect.Verdict

// The verdicts, the best one first.
const (
	Good   = dialect.Good   // nothing to do
	Notice = dialect.Notice // locks hold, but something may surprise
	Bad    = dialect.Bad    // something doesn't work here, and is refused
)

// checkName is the lock that Check plays with.
const checkName = "sqllock check"

// Check looks closer than New did at whether locks can be trusted in this database, and at what may surprise: it lets
// two connections compete for locks of each kind, and asks the engine about the server's settings. It is for people:
// a doctor's command, a line in the log at start. It blocks until the database has answered or ctx ends, which is the
// error; all else is a Finding.
func (c *Client) Check(ctx context.Context) ([]Finding, error) {
	if c.open.Err() != nil {
		return nil, errClosed
	}
	findings := []Finding{c.checkLeases(ctx), c.checkSessions(ctx)}
	if checker, ok := c.dialect.(dialect.Checker); ok && ctx.Err() == nil {
		more, err := checker.Check(ctx)
		if err != nil && ctx.Err() == nil {
			more = []Finding{{
				What: "the server's settings", Found: err.Error(), Verdict: Bad,
				Advice: "see that the server can be reached, then check again",
			}}
		}
		findings = append(findings, more...)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("sqllock: the check was broken off: %w", ended(ctx))
	}
	return findings, nil
}

func (c *Client) checkLeases(ctx context.Context) Finding {
	f := Finding{What: "lease locks", Found: "of two who want a lock, one gets it", Verdict: Good}
	if err := c.competeForLease(ctx); err != nil {
		f.Found, f.Verdict = err.Error(), Bad
		f.Advice = "don't use lease locks here before this is mended"
		if errors.Is(err, ErrSchema) {
			f.Advice = "run `sqllock-migrate up`"
		}
	}
	return f
}

// competeForLease asks for a lock that is held, under another owner's name.
func (c *Client) competeForLease(ctx context.Context) error {
	return c.Do(ctx, checkName, func(ctx context.Context, l *Lock) error {
		rival := dialect.Request{Key: l.claim.Key, LeaseID: l.lease.id, Owner: rand.Text()}
		grants, err := c.dialect.Acquire(ctx, []dialect.Request{rival})
		switch {
		case err != nil:
			return c.failed("competing for a lock", err)
		case grants[0].Granted:
			return errors.New("sqllock: a lock that was held was granted again")
		}
		return nil
	})
}

func (c *Client) checkSessions(ctx context.Context) Finding {
	f := Finding{What: "session locks", Found: "of two connections that want a lock, one gets it", Verdict: Good}
	if _, err := c.sessionLocker(); err != nil {
		return Finding{
			What: "session locks", Found: "none: " + c.dialect.Name() + " has no such locks", Verdict: Notice,
			Advice: "use lease locks, which are the default",
		}
	}
	if err := c.competeForSession(ctx); err != nil {
		f.Found, f.Verdict = err.Error(), Bad
		f.Advice = "use lease locks, which are the default, instead of Session()"
	}
	return f
}

// competeForSession asks again what was shown before the first session lock: a pooler may have been put in between.
func (c *Client) competeForSession(ctx context.Context) error {
	locker, err := c.sessionLocker()
	if err != nil {
		return err
	}
	c.proven.Store(false)
	_, err = c.retry(ctx, func(ctx context.Context) error {
		session, err := c.provenSession(ctx, locker)
		if err == nil {
			err = session.Close()
		}
		return err
	})
	if err != nil {
		return c.failed("trying out session locks", err)
	}
	return nil
}
