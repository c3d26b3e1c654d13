package clock_test

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// The clock of the standby is ahead of the primary's. ttl-ahead after the last heartbeat the
// standby takes a lease for over, and a holder without a ClockSkew goes on for nearly a whole ttl.
const (
	skewedTTL = 12 * time.Second
	ahead     = 6 * time.Second
)

// TestClockSkew shows both sides of the rule that ClockSkew has to cover the difference between the
// clocks of the servers that may judge a lease. The primary is frozen, its standby is promoted, and
// gives each lock to the next process. A holder whose ClockSkew covers the difference has given up
// by then. One without ClockSkew has not, and Check says so before.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	option, clock := servers.MovableClock(t, "postgres15")
	primary := servers.Private(t, "postgres15")
	target := prepared(t, primary.URL)
	standby := primary.Standby(t, option)
	clock.Move(ahead)
	member := connect(t, standby.URL)

	skews := map[string]time.Duration{"unset": 0, "covers": ahead + time.Second}
	held := make(map[string]*sqllock.Lock)
	for name, skew := range skews {
		c := clientWith(t, target, sqllock.Options{
			TTL: skewedTTL, ClockSkew: skew, Logger: slog.New(slog.DiscardHandler),
		})
		verdict := map[bool]sqllock.Verdict{true: sqllock.VerdictGood, false: sqllock.VerdictBad}[skew > ahead]
		wantClocks(t, c, member, verdict)
		lock, err := c.TryAcquire(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		held[name] = lock
	}
	standby.CatchUp(t, primary)
	primary.Stop()
	defer primary.Cont()
	standby.Promote(t)
	next := clientWith(t, member, sqllock.Options{TTL: skewedTTL, WaitForDatabase: true})
	ctx, cancel := context.WithTimeout(t.Context(), skewedTTL+slow)
	defer cancel()
	for name, skew := range skews {
		lock, err := next.Acquire(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		remaining := held[name].Remaining()
		overlaps := held[name].Context().Err() == nil
		t.Logf("ClockSkew %s: the next holder comes %s before the last one gives up", skew, remaining)
		if overlaps != (skew < ahead) {
			t.Errorf("with a ClockSkew of %s and clocks %s apart, two hold the lock: %t", skew, ahead, overlaps)
		}
		if err := lock.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

var measured = regexp.MustCompile(`^up to (6|5\.9)`)

// wantClocks checks what Check says about the standby's clock.
func wantClocks(t *testing.T, c *sqllock.Client, standby *open.Database, verdict sqllock.Verdict) {
	t.Helper()
	findings, err := c.Check(t.Context(), sqllock.Member{Name: "standby", Dialect: standby.Dialect})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(findings, func(f sqllock.Finding) bool { return f.What == "clocks of the servers" })
	if i < 0 || findings[i].Verdict != verdict || !measured.MatchString(findings[i].Found) {
		t.Errorf("Check found %+v; want clocks that are %s apart, and the verdict %s", findings, ahead, verdict)
		return
	}
	t.Logf("%s: %s; %s", verdict, findings[i].Found, findings[i].Advice)
	if findings, err = c.Check(t.Context()); err != nil || !slices.ContainsFunc(findings, func(f sqllock.Finding) bool {
		return f.What == "clocks of the other servers" && f.Found == "none was compared: 127.0.0.1"
	}) {
		t.Errorf("Check does not say that the standby's clock was not compared: %+v, %v", findings, err)
	}
}
