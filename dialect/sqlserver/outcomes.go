package sqlserver

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Recall reads the outcome of each name that is kept. It uses one statement for each. If the
// database keeps no row versions, it waits for a transaction that has claimed the name.
func (d *Dialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return each("recall", names, func(name string) (dialect.Outcome, error) { return recall(ctx, d.pool, name) })
}

func recall(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := outcome(ctx, s, sqlRecall, text(name))
	return o, err
}

func outcome(ctx context.Context, s engine.Session, statement string, args ...any) (dialect.Outcome, bool, error) {
	o, found, err := engine.QueryOutcome(ctx, s, statement, args...)
	return o, found, engine.WithCause(ctx, err)
}

// Remember writes each outcome unless one is kept. It uses one statement if the name has no
// outcome, and up to two more if it has one.
func (d *Dialect) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	return each("remember", done, func(o dialect.Done) (dialect.Outcome, error) { return remember(ctx, d.pool, o) })
}

func remember(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	if err := texts.Check("name", o.Name, 255); err != nil {
		return dialect.Outcome{}, err
	}
	return engine.FirstWins(
		func() (dialect.Outcome, bool, error) {
			made, inserted, err := writeOutcome(ctx, s, sqlInsertOutcome, o)
			if isDuplicate(err) {
				return writeOutcome(ctx, s, sqlRememberTx, o)
			}
			return made, inserted, err
		},
		func() (dialect.Outcome, error) { return recall(ctx, s, o.Name) })
}

func writeOutcome(
	ctx context.Context, s engine.Session, statement string, o dialect.Done,
) (dialect.Outcome, bool, error) {
	return outcome(ctx, s, statement, text(o.Name), o.Fence, o.Failed, engine.Result(o.Result), engine.Micros(o.Keep))
}

// ClaimTx claims each name for the transaction, or returns the outcome that is kept. It costs one
// round trip if the name has a row, and otherwise two. Under SNAPSHOT, if another transaction has
// remembered an outcome of the name since tx began, the error is 3960, which has rolled tx back.
func (d *Dialect) ClaimTx(ctx context.Context, tx dialect.Tx, names []string) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(names)); err != nil {
		return nil, fail("claim", err)
	}
	return each("claim", names, func(name string) (dialect.Outcome, error) { return claimOutcome(ctx, tx, name) })
}

// claimOutcome starts again if another client was faster to insert the row.
func claimOutcome(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	if err := texts.Check("name", name, 255); err != nil {
		return dialect.Outcome{}, err
	}
	for range claimRounds {
		for _, statement := range []string{sqlClaimOutcome, sqlMakeClaim} {
			o, found, err := outcome(ctx, s, statement, text(name))
			if found || err != nil && !isDuplicate(err) {
				return o, err
			}
		}
	}
	return dialect.Outcome{}, engine.ErrBusy
}

// claimRounds bounds how often a claim starts again: each time, a row must have been deleted and
// inserted.
const claimRounds = 4

// RememberTx writes the outcome of each name that tx has claimed. It uses one statement for each.
func (d *Dialect) RememberTx(ctx context.Context, tx dialect.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(done)); err != nil {
		return nil, fail("remember in a transaction", err)
	}
	return each("remember in a transaction", done, func(o dialect.Done) (dialect.Outcome, error) {
		remembered, _, err := writeOutcome(ctx, tx, sqlRememberTx, o)
		return remembered, err
	})
}

// PurgeOutcomes deletes up to limit outcomes that are no longer kept, and skips those that others
// have locked.
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeOutcomes, int64(max(limit, 0)))
	return n, fail("purge outcomes", err)
}
