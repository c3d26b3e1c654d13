package postgres

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Recall reads the outcome of each name that is kept: one statement each. It waits for nobody.
func (d *Dialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return each("recall", names, func(name string) (dialect.Outcome, error) { return recall(ctx, d.pool, name) })
}

func recall(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := outcome(ctx, s, sqlRecall, name)
	return o, err
}

func outcome(ctx context.Context, s engine.Session, text string, args ...any) (dialect.Outcome, bool, error) {
	o, found, err := engine.QueryOutcome(ctx, s, text, args...)
	return o, found, withCause(ctx, err)
}

// Remember writes each outcome unless one is kept: one statement each, and one more where one is.
func (d *Dialect) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	return each("remember", done, func(o dialect.Done) (dialect.Outcome, error) { return remember(ctx, d.pool, o) })
}

func remember(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	return engine.FirstWins(
		func() (dialect.Outcome, bool, error) { return write(ctx, s, sqlRemember, o) },
		func() (dialect.Outcome, error) { return recall(ctx, s, o.Name) })
}

func write(ctx context.Context, s engine.Session, text string, o dialect.Done) (dialect.Outcome, bool, error) {
	return outcome(ctx, s, text, o.Name, o.Fence, o.Failed, engine.Result(o.Result), engine.Micros(o.Keep))
}

// ClaimTx makes each name the transaction's, or answers the outcome that is kept: one statement each. Above READ COMMITTED, where
// another has settled the name since tx began, it is a serialization failure (40001, Transient).
func (d *Dialect) ClaimTx(ctx context.Context, tx *sql.Tx, names []string) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(names)); err != nil {
		return nil, fail("claim", err)
	}
	return each("claim", names, func(name string) (dialect.Outcome, error) { return claimOutcome(ctx, tx, name) })
}

func claimOutcome(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := outcome(ctx, s, sqlClaimOutcome, name)
	return o, err
}

// SettleTx writes the outcome of each name that tx has claimed: one statement each.
func (d *Dialect) SettleTx(ctx context.Context, tx *sql.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(done)); err != nil {
		return nil, fail("settle", err)
	}
	return each("settle", done, func(o dialect.Done) (dialect.Outcome, error) { return settleOutcome(ctx, tx, o) })
}

func settleOutcome(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	settled, _, err := write(ctx, s, sqlSettleOutcome, o)
	return settled, err
}

// PurgeOutcomes deletes up to limit outcomes that are kept no longer, and waits for none that others are at.
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeOutcomes, int64(max(limit, 0)))
	return n, fail("purge outcomes", err)
}
