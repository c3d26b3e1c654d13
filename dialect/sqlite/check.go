package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Check tells what SQLite this is and where the database is, tries whether it can be written to, and names settings that
// may surprise. It takes the write lock for a moment, so it may find the database busy, which is Transient.
func (d *Dialect) Check(ctx context.Context) ([]dialect.Finding, error) {
	findings, err := d.check(ctx)
	return findings, fail("check", err)
}

func (d *Dialect) check(ctx context.Context) ([]dialect.Finding, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return nil, err
	}
	var f facts
	_, err := engine.Query(ctx, d.pool, func(rows *sql.Rows, _ *struct{}) error {
		return rows.Scan(&f.version, &f.clock, &f.file, new(bool))
	}, d.sql.server)
	if err != nil {
		return nil, err
	}
	_, err = engine.Query(ctx, d.pool, func(rows *sql.Rows, _ *struct{}) error {
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

// facts are what SQLite tells of itself and of a connection of the pool.
type facts struct {
	version, clock, file string
	journal              string
	timeout              int
	queryOnly            bool
}

// finding is Good where there is no advice.
func finding(what, found string, otherwise dialect.Verdict, advice string) dialect.Finding {
	f := dialect.Finding{What: what, Found: found, Verdict: dialect.Good, Advice: advice}
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
	return finding("server", "SQLite "+f.version, dialect.Bad, advice)
}

func (f facts) where() dialect.Finding {
	if f.file == "" {
		return finding("database", "in memory or temporary", dialect.Bad,
			"each connection has one of its own, or it ends with the last of them: name a file")
	}
	if kind := networkDisk(f.file); kind != "" {
		return finding("database", "a file on "+kind, dialect.Notice,
			"SQLite's locks can't be relied on across a network: keep the file on a disk of this machine")
	}
	return finding("database", "a file", dialect.Notice, "")
}

// checkWrites takes the write lock and gives it back.
func (d *Dialect) checkWrites(ctx context.Context, f facts) (dialect.Finding, error) {
	const what = "takes writes"
	if f.queryOnly {
		return finding(what, "no: query_only is on", dialect.Bad, "open it without query_only"), nil
	}
	tx, err := d.db.BeginTx(ctx, nil)
	if err == nil {
		defer tx.Rollback()
		_, err = tx.ExecContext(ctx, d.sql.writeLock)
	}
	switch class := d.Classify(err); {
	case err == nil:
		return finding(what, "yes", dialect.Bad, ""), nil
	case class == dialect.ReadOnly, class == dialect.NoSchema:
		return finding(what, "no", dialect.Bad, d.explain(err).Error()), nil
	case ctx.Err() != nil:
		err = errors.Join(ctx.Err(), err)
	}
	return dialect.Finding{}, err
}

func (f facts) rest() []dialect.Finding {
	var journal, timeout string
	if f.journal != "wal" {
		journal = "readers keep the writer waiting, and the writer them: PRAGMA journal_mode = WAL, which Open sets"
	}
	if f.timeout == 0 {
		timeout = "a write that finds another at work fails at once: set it, as Open does (_busy_timeout=5000)"
	}
	return []dialect.Finding{
		finding("journal mode", f.journal, dialect.Notice, journal),
		finding("busy_timeout", fmt.Sprintf("%d ms", f.timeout), dialect.Notice, timeout),
		finding("clock resolution", "1ms", dialect.Notice, ""),
		finding("transaction locks", "the database's one write lock, whatever the name", dialect.Notice, ""),
		finding("session locks", "there are no sessions", dialect.Notice, "they are refused: use a lease lock"),
	}
}
