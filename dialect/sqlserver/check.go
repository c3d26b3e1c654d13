package sqlserver

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var _ dialect.Checker = (*Dialect)(nil)

// Check reports what this server is, tries whether it can serve session locks, and names settings
// that may surprise. It opens two connections.
func (d *Dialect) Check(ctx context.Context) ([]dialect.Finding, error) {
	findings, err := d.check(ctx)
	return findings, fail("check", err)
}

func (d *Dialect) check(ctx context.Context) ([]dialect.Finding, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return nil, err
	}
	server, err := d.readServer(ctx)
	if err != nil {
		return nil, err
	}
	found, err := query(ctx, d.pool, scanSettings, sqlCheck)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("sys.databases has %d rows for this database", len(found))
	}
	if err != nil {
		return nil, err
	}
	findings := []dialect.Finding{engine.Finding("server", server.Product+" "+server.Version, "", nil)}
	findings = append(findings, found[0].findings()...)
	for _, check := range []func(context.Context) (dialect.Finding, error){d.checkClock, d.checkSessions} {
		f, err := check(ctx)
		if err != nil {
			return nil, err
		}
		findings = append(findings, f)
	}
	return append(findings, d.churn.Finding(false)), nil
}

// settings are those that matter to locks.
type settings struct {
	updateability string
	versioned     bool
	durability    string
	level         int
}

func scanSettings(rows dialect.Rows, s *settings) error {
	return rows.Scan(&s.updateability, &s.versioned, &s.durability, &s.level)
}

// levels are the numbers of sys.dm_exec_sessions.
var levels = map[int]string{
	0: "unknown", 1: "read uncommitted", 2: "read committed", 3: "repeatable read", 4: "serializable",
	snapshotLevel: "snapshot",
}

const snapshotLevel = 5

func (s settings) findings() []dialect.Finding {
	var readOnly error
	if s.updateability != "READ_WRITE" {
		readOnly = errSecondary
	}
	var advice [3]string
	versions := "kept"
	if !s.versioned {
		versions = "not kept"
		advice[0] = "lists of locks may show what isn't committed yet: ALTER DATABASE … SET READ_COMMITTED_SNAPSHOT ON"
	}
	if s.durability == "FORCED" {
		advice[1] = "a crash of the server may forget the last locks that were acquired, while their holders go on: " +
			"set DELAYED_DURABILITY to ALLOWED or DISABLED, and check fences where the data is written"
	}
	if s.level == snapshotLevel {
		advice[2] = "locks hold at this level, but a transaction that waited for a transaction lock doesn't see what " +
			"the lock's last holder committed, and a guard fails with 3960 where its snapshot is older than the " +
			"lock: begin such transactions with READ COMMITTED, and acquire before you begin"
	}
	return []dialect.Finding{
		engine.Finding("writes", strings.ToLower(strings.ReplaceAll(s.updateability, "_", "-")), "", readOnly),
		engine.Finding("row versions for READ COMMITTED", versions, advice[0], nil),
		engine.Finding("delayed durability", strings.ToLower(s.durability), advice[1], nil),
		engine.Finding("default isolation level", levels[s.level], advice[2], nil),
	}
}

// checkClock finds the clock's resolution: on some systems it advances by many milliseconds at a
// time.
func (d *Dialect) checkClock(ctx context.Context) (dialect.Finding, error) {
	unit, err := engine.Resolution(func() (time.Duration, error) {
		found, err := query(ctx, d.pool, engine.One[int64], sqlCheckClock)
		if err != nil || len(found) != 1 {
			return 0, err
		}
		return time.Duration(found[0]), nil
	})
	advice := ""
	if unit > time.Millisecond {
		advice = "durations below that are kept, but not measured"
	}
	return engine.Finding("clock resolution", unit.String(), advice, nil), err
}

// checkSessions tries session locks again, whatever an earlier trial has found, and whether their
// holder can be seen.
func (d *Dialect) checkSessions(ctx context.Context) (dialect.Finding, error) {
	const what = "session locks"
	d.proven.Store(false)
	s, err := d.openSession(ctx, dialect.SessionOptions{Holder: "sqllock check"})
	if ctx.Err() != nil {
		return dialect.Finding{}, err
	}
	if err != nil {
		return engine.Finding(what, "refused", "", err), nil
	}
	defer s.Close() //nolint:errcheck // it has nothing that would stay
	found, advice := "sp_getapplock, one connection keeps another out", ""
	if seen, err := s.HeldBy(ctx, []dialect.ServerLock{{Name: s.marker}}); err != nil {
		return dialect.Finding{}, err
	} else if seen[0].Holder == "" {
		found += "; its holder can't be seen"
		advice = "grant this user VIEW SERVER STATE (in Azure SQL, VIEW DATABASE STATE)"
	}
	return engine.Finding(what, found, advice, nil), nil
}
