package sqlite

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Recall reads the outcome of each name that is kept: one statement each.
func (d *Dialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return each("recall", names, func(name string) (dialect.Outcome, error) { return d.recall(ctx, d.pool, name) })
}

func (d *Dialect) recall(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := engine.QueryOutcome(ctx, s, d.sql.recall, name)
	return o, err
}

// Remember writes each outcome unless one is kept: one statement each, and one more where one is.
func (d *Dialect) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	return eachInTurn(ctx, d.line, "remember", done, func(o dialect.Done) (dialect.Outcome, error) {
		return d.remember(ctx, d.pool, o)
	})
}

func (d *Dialect) remember(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	return engine.FirstWins(
		func() (dialect.Outcome, bool, error) { return writeOutcome(ctx, s, d.sql.remember, o) },
		func() (dialect.Outcome, error) { return d.recall(ctx, s, o.Name) })
}

func writeOutcome(ctx context.Context, s engine.Session, text string, o dialect.Done) (dialect.Outcome, bool, error) {
	return engine.QueryOutcome(ctx, s, text, o.Name, o.Fence, o.Failed, engine.Result(o.Result), engine.Micros(o.Keep))
}

// ClaimTx makes tx a writer, as LockTx does, and answers the outcome of each name that is kept: one statement each. SQLite has one
// writer at a time, so whoever claims another name waits too. In a deferred transaction that has read before, while others
// have written since, the error is Transient and the transaction has to be done again: _txlock=immediate, which Open sets,
// avoids that.
func (d *Dialect) ClaimTx(ctx context.Context, tx *sql.Tx, names []string) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(names)); err != nil {
		return nil, fail("claim", err)
	}
	return each("claim", names, func(name string) (dialect.Outcome, error) {
		o, err := d.claimOutcome(ctx, tx, name)
		return o, explainTx(err)
	})
}

func (d *Dialect) claimOutcome(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := engine.QueryOutcome(ctx, s, d.sql.claimOutcome, name)
	return o, err
}

// SettleTx writes the outcome of each name that tx has claimed: one statement each.
func (d *Dialect) SettleTx(ctx context.Context, tx *sql.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(done)); err != nil {
		return nil, fail("settle", err)
	}
	return each("settle", done, func(o dialect.Done) (dialect.Outcome, error) { return d.settleOutcome(ctx, tx, o) })
}

func (d *Dialect) settleOutcome(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	settled, _, err := writeOutcome(ctx, s, d.sql.settleOutcome, o)
	return settled, err
}

// PurgeOutcomes deletes up to limit outcomes that are kept no longer.
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	n, err := inTurn(ctx, d.line, func() (int, error) { return engine.Exec(ctx, d.pool, d.sql.purgeOutcomes, max(limit, 0)) })
	return n, fail("purge outcomes", err)
}
