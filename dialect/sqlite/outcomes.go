package sqlite

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Recall returns the outcome of each name that is kept. It uses one statement for each.
func (d *Dialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return eachRead(ctx, d, "recall", names, func(name string) (dialect.Outcome, error) {
		return d.recall(ctx, d.pool, name)
	})
}

func (d *Dialect) recall(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := engine.QueryOutcome(ctx, s, d.sql.recall, name)
	return o, err
}

// Remember writes each outcome unless one is kept. It uses one statement for each, and one more if
// an outcome is kept.
func (d *Dialect) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	return eachWrite(ctx, d, "remember", done, func(s engine.Session, o dialect.Done) (dialect.Outcome, error) {
		return d.remember(ctx, s, o)
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

// ClaimTx makes tx a writer, as LockTx does, and returns the outcome of each name that is kept. It
// uses one statement for each. SQLite has one writer at a time, so a claim of another name waits
// too. If a deferred transaction has read before, and others have written since, the error is
// Transient and the transaction has to be repeated. _txlock=immediate, which [Open] sets, avoids
// that.
func (d *Dialect) ClaimTx(ctx context.Context, tx dialect.Tx, names []string) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(names)); err != nil {
		return nil, fail("claim", err)
	}
	return eachRead(ctx, d, "claim", names, func(name string) (dialect.Outcome, error) {
		o, err := d.claimOutcome(ctx, tx, name)
		return o, explainTx(err)
	})
}

func (d *Dialect) claimOutcome(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := engine.QueryOutcome(ctx, s, d.sql.claimOutcome, name)
	return o, err
}

// RememberTx writes the outcome of each name that tx has claimed. It uses one statement for each.
func (d *Dialect) RememberTx(ctx context.Context, tx dialect.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(done)); err != nil {
		return nil, fail("remember in a transaction", err)
	}
	return each("remember in a transaction", done, func(o dialect.Done) (dialect.Outcome, error) {
		return d.rememberTx(ctx, tx, o)
	})
}

func (d *Dialect) rememberTx(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	remembered, _, err := writeOutcome(ctx, s, d.sql.rememberTx, o)
	return remembered, err
}

// PurgeOutcomes deletes up to limit outcomes that are no longer kept.
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	n, err := write(ctx, d, func(s engine.Session) (int, error) {
		return engine.Exec(ctx, s, d.sql.purgeOutcomes, max(limit, 0))
	})
	return n, fail("purge outcomes", err)
}
