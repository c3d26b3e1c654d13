package mysql

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Recall reads the outcome of each name that is kept. It uses one statement for each, which a
// read/write splitter sends to the primary. It waits for a transaction that has claimed the name.
// It doesn't see a claim on another Galera node before its commit.
func (d *Dialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	if len(names) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("recall", err)
	}
	return each("recall", names, func(name string) (dialect.Outcome, error) { return recall(ctx, d.pool, f, name) })
}

func recall(ctx context.Context, s engine.Session, f flavour, name string) (dialect.Outcome, error) {
	o, _, err := engine.QueryOutcome(ctx, s, f.caughtUp(sqlRecall), name)
	return o, err
}

// Remember writes each outcome unless one is kept, and reads which one holds. It uses two
// statements for each.
func (d *Dialect) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	if len(done) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("remember", err)
	}
	return each("remember", done, func(o dialect.Done) (dialect.Outcome, error) { return remember(ctx, d.pool, f, o) })
}

func remember(ctx context.Context, s engine.Session, f flavour, o dialect.Done) (dialect.Outcome, error) {
	if err := texts.Check("name", o.Name, 255); err != nil {
		return dialect.Outcome{}, err
	}
	return engine.FirstWins(
		func() (dialect.Outcome, bool, error) {
			_, err := engine.Exec(ctx, s, sqlRemember, o.Name, o.Fence, o.Failed, engine.Result(o.Result),
				engine.Micros(o.Keep))
			return dialect.Outcome{}, false, err
		},
		func() (dialect.Outcome, error) {
			kept, err := engine.ReadBack(ctx, s, f.caughtUp(sqlRecall), o)
			return kept, partly(true, err)
		})
}

// ClaimTx claims each name for the transaction, and reads the outcome that is kept. It uses two
// statements for each. It doesn't fix the snapshot of a REPEATABLE READ transaction.
//
// When a transaction that has claimed a name rolls back and several wait for it, the server may let
// one of them continue and end the others as a deadlock: 1213, which has rolled tx back. MariaDB
// with innodb_snapshot_isolation returns 1020 if the snapshot is older than the outcome. Both
// errors are Transient.
//
// In a cluster whose members all take writes, of two transactions that claim a name on different
// members at the same time one fails at its commit, with 1213.
func (d *Dialect) ClaimTx(ctx context.Context, tx dialect.Tx, names []string) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(names)); err != nil {
		return nil, fail("claim", err)
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("claim", err)
	}
	in := f.on(tx)
	return each("claim", names, func(name string) (dialect.Outcome, error) { return claimOutcome(ctx, in, name) })
}

func claimOutcome(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	if err := texts.Check("name", name, 255); err != nil {
		return dialect.Outcome{}, err
	}
	if _, err := engine.Exec(ctx, s, sqlClaimOutcome, name); err != nil {
		return dialect.Outcome{}, engine.WithCause(ctx, err)
	}
	o, _, err := engine.QueryOutcome(ctx, s, sqlRecall, name)
	return o, engine.WithCause(ctx, err)
}

// RememberTx writes the outcome of each name that tx has claimed, and reads it back. It uses two
// statements for each.
func (d *Dialect) RememberTx(ctx context.Context, tx dialect.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(done)); err != nil {
		return nil, fail("remember in a transaction", err)
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("remember in a transaction", err)
	}
	in := f.on(tx)
	return each("remember in a transaction", done, func(o dialect.Done) (dialect.Outcome, error) {
		return rememberTx(ctx, in, o)
	})
}

func rememberTx(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	n, err := engine.Exec(ctx, s, sqlRememberTx, o.Fence, o.Failed, engine.Result(o.Result), engine.Micros(o.Keep),
		o.Name)
	if err != nil || n == 0 {
		return dialect.Outcome{}, engine.WithCause(ctx, err)
	}
	remembered, err := engine.ReadBack(ctx, s, sqlRecall, o)
	return remembered, engine.WithCause(ctx, err)
}

// PurgeOutcomes deletes up to limit outcomes that are no longer kept, and skips those that others
// have locked. One statement finds them, and one more deletes each.
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	return d.deleteChunk(ctx, "purge outcomes", sqlOldOutcomes, nil, limit, purgeOutcome)
}

func purgeOutcome(ctx context.Context, s engine.Session, f flavour, name string) (int, error) {
	return engine.Affected(sqlPurgeOutcome.run(ctx, s, f, []any{name}))
}
