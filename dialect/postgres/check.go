package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Check inspects what can make locks fail or behave unexpectedly: the server, its settings as the
// pool's connections get them, and its clock. It also opens two connections of its own to try
// whether session locks hold. It takes a second at most on a server that responds, and up to ten
// behind a pooler that has no connection left.
func (d *Dialect) Check(ctx context.Context) ([]dialect.Finding, error) {
	findings, err := d.check(ctx)
	return findings, fail("check", err)
}

func (d *Dialect) check(ctx context.Context) ([]dialect.Finding, error) {
	settings, err := query(ctx, d.pool, scanSettings, sqlCheck)
	if err != nil {
		return nil, err
	}
	clocks, err := query(ctx, d.pool, scanClock, sqlCheckClock)
	if err != nil {
		return nil, err
	}
	findings := append(settings[0].findings(), clocks[0].finding())
	// Servers that only speak PostgreSQL's protocol have none of these settings.
	if limits, err := query(ctx, d.pool, scanLimits, sqlCheckLimits); err == nil {
		findings = append(findings, limits[0].finding())
	}
	session, err := d.checkSessions(ctx)
	if err != nil {
		return nil, err
	}
	return append(findings, session, d.checkDriver(), d.pool.source.finding(ctx)), nil
}

// settings are the server settings that matter to locks.
type settings struct {
	banner, number               string
	standby                      bool
	readOnly, isolation          string
	synchronous, fsync, timeouts string
}

func scanSettings(rows dialect.Rows, s *settings) error {
	return rows.Scan(&s.banner, &s.number, &s.standby, &s.readOnly, &s.isolation, &s.synchronous, &s.fsync, &s.timeouts)
}

func (s settings) findings() []dialect.Finding {
	name, version := product(s.banner, s.number)
	return []dialect.Finding{
		{What: "server", Found: name + " " + version, Verdict: dialect.VerdictGood},
		s.writes(), s.level(), s.durability(), s.limits(),
	}
}

func (s settings) writes() dialect.Finding {
	const what, advice = "writes", "leases can't be written here: connect to the primary " +
		"(for pgx and lib/pq: target_session_attrs=read-write)"
	switch {
	case s.standby:
		return dialect.Finding{
			What: what, Found: "none: this is a standby in recovery", Verdict: dialect.VerdictBad, Advice: advice,
		}
	case s.readOnly == "on":
		return dialect.Finding{
			What: what, Found: "none: transactions are read-only by default", Verdict: dialect.VerdictBad,
			Advice: advice + ", or set default_transaction_read_only off for this role",
		}
	}
	return dialect.Finding{What: what, Found: "this is a primary and accepts them", Verdict: dialect.VerdictGood}
}

func (s settings) level() dialect.Finding {
	f := dialect.Finding{What: "default isolation level", Found: s.isolation, Verdict: dialect.VerdictGood}
	if s.isolation == "repeatable read" || s.isolation == "serializable" {
		f.Verdict = dialect.VerdictNotice
		f.Advice = "locks hold at this level, but a transaction that waited for a transaction lock doesn't see " +
			"what the lock's last holder committed, and a guard fails with 40001 if its snapshot is older than " +
			"the lock: begin such transactions with READ COMMITTED, and acquire before you begin"
	}
	return f
}

func (s settings) durability() dialect.Finding {
	f := dialect.Finding{
		What: "durability", Verdict: dialect.VerdictGood,
		Found: "fsync " + s.fsync + ", synchronous_commit " + s.synchronous,
	}
	switch {
	case s.fsync == "off":
		f.Verdict = dialect.VerdictNotice
		f.Advice = "a crash of the machine may lose or damage the database, and locks with it: set fsync on"
	case s.synchronous == "off":
		f.Verdict = dialect.VerdictNotice
		f.Advice = "a crash of the server may lose the locks that were acquired last, while their holders go on: " +
			"set synchronous_commit on for sqllock's role, and check fences where the data is written"
	case s.fsync == "" || s.synchronous == "":
		f.Found = "up to the server, which doesn't have these settings"
	}
	return f
}

func (s settings) limits() dialect.Finding {
	f := dialect.Finding{What: "time-outs of the server", Found: s.timeouts, Verdict: dialect.VerdictNotice}
	if s.timeouts == "" {
		f.Found, f.Verdict = "none", dialect.VerdictGood
		return f
	}
	f.Advice = "the server ends a transaction or connection that exceeds one, and its guards and transaction locks " +
		"with it; a wait for a lock may end sooner than its ctx. Session locks set idle_session_timeout for themselves"
	return f
}

// clockStep is how the server's clock moved while it was read repeatedly.
type clockStep struct {
	step time.Duration // the smallest step; zero if the clock stood still
	back bool          // the clock went back at least once
}

func scanClock(rows dialect.Rows, c *clockStep) error {
	var us int64
	err := rows.Scan(&us, &c.back)
	c.step = engine.Duration(us)
	return err
}

func (c clockStep) finding() dialect.Finding {
	f := dialect.Finding{
		What: "clock", Found: fmt.Sprintf("goes forward in steps of %s", c.step), Verdict: dialect.VerdictGood,
	}
	switch {
	case c.back:
		f.Found, f.Verdict = "went back while it was read", dialect.VerdictBad
		f.Advice = "leases last longer or shorter when the clock is stepped: slew it instead (chronyd, ntpd)"
	case c.step == 0:
		f.Found, f.Verdict = "stood still while it was read", dialect.VerdictBad
		f.Advice = "leases can't run out by this clock: use the server's clock_timestamp(), not a stub of it"
	case c.step > time.Millisecond:
		f.Verdict, f.Advice = dialect.VerdictNotice,
			"leases are no more precise than that: use TTLs that are much longer"
	}
	return f
}

// limits are the numbers of connections and advisory locks that the server has room for.
type limits struct{ connections, used, locks int64 }

func scanLimits(rows dialect.Rows, l *limits) error {
	return rows.Scan(&l.connections, &l.used, &l.locks)
}

func (l limits) finding() dialect.Finding {
	f := dialect.Finding{
		What: "room", Verdict: dialect.VerdictGood,
		Found: fmt.Sprintf("%d of %d connections are in use; at least %d advisory locks fit",
			l.used, l.connections, l.locks),
	}
	if l.used*10 >= l.connections*9 {
		f.Verdict = dialect.VerdictNotice
		f.Advice = "a heartbeat that finds no connection loses its locks: raise max_connections, or let the " +
			"application's pools have fewer (SetMaxOpenConns), or put a pooler in front"
	}
	return f
}

// checkSessions tries session locks again, regardless of what an earlier trial has found.
func (d *Dialect) checkSessions(ctx context.Context) (dialect.Finding, error) {
	f := dialect.Finding{
		What: "sessions", Verdict: dialect.VerdictGood,
		Found: "a connection stays with its process in the server, and a second one is refused its lock",
	}
	d.tried.Store(false)
	s, err := d.openSession(ctx, dialect.SessionOptions{Holder: "sqllock check"})
	switch {
	case err == nil:
		_ = s.Close()
	case ctx.Err() != nil:
		return f, err
	default:
		reason, advice, _ := strings.Cut(strings.TrimPrefix(err.Error(), dialect.ErrUnsupported.Error()+": "), "; ")
		f.Verdict, f.Found, f.Advice = dialect.VerdictBad, reason, advice
		if errors.Is(err, errPooler) {
			f.Advice += ". LISTEN doesn't work here either, so waiting is polling"
		}
		if advice == "" {
			f.Advice = "session locks are refused until this is fixed; lease locks don't need it"
		}
	}
	return f, nil
}

func (d *Dialect) checkDriver() dialect.Finding {
	if d.pool.source.resends() {
		return dialect.Finding{
			What: "driver", Found: "not pgx", Verdict: dialect.VerdictNotice,
			Advice: "more failures than with pgx leave it unknown whether anything happened, and a lock in doubt is " +
				"released later: use pgx's stdlib",
		}
	}
	return dialect.Finding{What: "driver", Found: "pgx", Verdict: dialect.VerdictGood}
}
