package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Check reports the version of SQLite and where the database is, tries whether it can be written
// to, and names settings that may surprise. It waits for the write lock, and takes it for a moment.
func (d *Dialect) Check(ctx context.Context) ([]dialect.Finding, error) {
	findings, err := whenFree(ctx, d.file(), func() ([]dialect.Finding, error) { return d.check(ctx) })
	return findings, fail("check", err)
}

func (d *Dialect) check(ctx context.Context) ([]dialect.Finding, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return nil, err
	}
	var f facts
	_, err := engine.Query(ctx, d.pool, func(rows dialect.Rows, _ *struct{}) error {
		return rows.Scan(&f.version, &f.clock, &f.file, new(bool))
	}, d.sql.server)
	if err != nil {
		return nil, err
	}
	_, err = engine.Query(ctx, d.pool, func(rows dialect.Rows, _ *struct{}) error {
		return rows.Scan(&f.journal, &f.timeout, &f.queryOnly)
	}, d.sql.settings)
	if err != nil {
		return nil, err
	}
	writes, err := d.checkWrites(ctx, f)
	if err != nil {
		return nil, err
	}
	return append([]dialect.Finding{f.engine(), f.where(), writes}, f.rest()...), nil
}

// facts are what SQLite reports about itself and about a connection of the pool.
type facts struct {
	version, clock, file string
	journal              string
	timeout              int
	queryOnly            bool
}

// finding is Good if there is no advice.
func finding(what, found string, otherwise dialect.Verdict, advice string) dialect.Finding {
	f := dialect.Finding{What: what, Found: found, Verdict: dialect.VerdictGood, Advice: advice}
	if advice != "" {
		f.Verdict = otherwise
	}
	return f
}

func (f facts) engine() dialect.Finding {
	advice := ""
	if f.clock != "integer" {
		advice = "its clock has no fractions of a second: SQLite 3.42 is the first whose clock has"
	}
	return finding("server", "SQLite "+f.version, dialect.VerdictBad, advice)
}

func (f facts) where() dialect.Finding {
	if f.file == "" {
		return finding("database", "in memory or temporary", dialect.VerdictBad,
			"each connection has one of its own, or it ends with the last of them: name a file")
	}
	if kind := networkDisk(f.file); kind != "" {
		return finding("database", "a file on "+kind, dialect.VerdictNotice,
			"SQLite's locks can't be relied on across a network: keep the file on a disk of this machine")
	}
	return finding("database", "a file", dialect.VerdictNotice, "")
}

// checkWrites takes the write lock and releases it.
func (d *Dialect) checkWrites(ctx context.Context, f facts) (dialect.Finding, error) {
	const what = "takes writes"
	if f.queryOnly {
		return finding(what, "no: query_only is on", dialect.VerdictBad, "open it without query_only"), nil
	}
	err := d.asWriter(ctx, (*sql.Tx).Rollback)
	switch class := d.Classify(err); {
	case err == nil:
		return finding(what, "yes", dialect.VerdictBad, ""), nil
	case class == dialect.ClassReadOnly, class == dialect.ClassNoSchema:
		return finding(what, "no", dialect.VerdictBad, d.explain(err).Error()), nil
	}
	return dialect.Finding{}, err
}

func (f facts) rest() []dialect.Finding {
	var journal, timeout string
	if f.journal != "wal" {
		journal = "readers keep the writer waiting, and the writer them: PRAGMA journal_mode = WAL, which Open sets"
	}
	if f.timeout == 0 {
		timeout = "a write of the application's that finds another at work fails at once: set it, as Open does " +
			"(_busy_timeout=5000)"
	}
	return []dialect.Finding{
		finding("journal mode", f.journal, dialect.VerdictNotice, journal),
		finding("busy_timeout", fmt.Sprintf("%d ms", f.timeout), dialect.VerdictNotice, timeout),
		finding("clock resolution", "1ms", dialect.VerdictNotice, ""),
		finding("transaction locks", "the database's one write lock, whatever the name", dialect.VerdictNotice, ""),
	}
}
