package sqlserver

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Recall reads the outcome of each name that is kept: one statement each. Where the database keeps no row versions it waits for a
// transaction that has claimed the name.
func (d *Dialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return each("recall", names, func(name string) (dialect.Outcome, error) { return recall(ctx, d.pool, name) })
}

func recall(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := outcome(ctx, s, sqlRecall, text(name))
	return o, err
}

func outcome(ctx context.Context, s engine.Session, statement string, args ...any) (dialect.Outcome, bool, error) {
	o, found, err := engine.QueryOutcome(ctx, s, statement, args...)
	return o, found, withCause(ctx, err)
}

// Remember writes each outcome unless one is kept: one statement where the name has none, and up to two more where it has.
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
				return writeOutcome(ctx, s, sqlSettleOutcome, o)
			}
			return made, inserted, err
		},
		func() (dialect.Outcome, error) { return recall(ctx, s, o.Name) })
}

func writeOutcome(ctx context.Context, s engine.Session, statement string, o dialect.Done) (dialect.Outcome, bool, error) {
	return outcome(ctx, s, statement, text(o.Name), o.Fence, o.Failed, engine.Result(o.Result), engine.Micros(o.Keep))
}

// ClaimTx makes each name the transaction's, or answers the outcome that is kept: one round trip where the name has a row, and
// else two. Under SNAPSHOT, where another has settled the name since tx began, it is the error 3960, which has rolled tx back.
func (d *Dialect) ClaimTx(ctx context.Context, tx *sql.Tx, names []string) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(names)); err != nil {
		return nil, fail("claim", err)
	}
	return each("claim", names, func(name string) (dialect.Outcome, error) { return claimOutcome(ctx, tx, name) })
}

// claimOutcome starts over where another was faster to make the row.
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

// claimRounds bounds how often a claim starts over: each time, a row that was there must have gone, and come.
const claimRounds = 4

// SettleTx writes the outcome of each name that tx has claimed: one statement each.
func (d *Dialect) SettleTx(ctx context.Context, tx *sql.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(done)); err != nil {
		return nil, fail("settle", err)
	}
	return each("settle", done, func(o dialect.Done) (dialect.Outcome, error) {
		settled, _, err := writeOutcome(ctx, tx, sqlSettleOutcome, o)
		return settled, err
	})
}

// PurgeOutcomes deletes up to limit outcomes that are kept no longer, and waits for none that others are at.
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeOutcomes, int64(max(limit, 0)))
	return n, fail("purge outcomes", err)
}
