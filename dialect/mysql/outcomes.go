package mysql

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Recall reads the outcome of each name that is kept: one statement each, which a read/write splitter sends to the primary. It
// waits for a transaction that has claimed the name; a claim on another Galera node it doesn't see before the commit.
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
	text := sqlRecall
	if f.maria && f.galera { // a node must first catch up with the others, or an outcome may be missing because it is new
		text = sqlRecallGalera
	}
	o, _, err := engine.QueryOutcome(ctx, s, text, name)
	return o, err
}

// Remember writes each outcome unless one is kept, and reads which one holds: two statements each.
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
			_, err := engine.Exec(ctx, s, sqlRemember, o.Name, o.Fence, o.Failed, engine.Result(o.Result), engine.Micros(o.Keep))
			return dialect.Outcome{}, false, err
		},
		func() (dialect.Outcome, error) {
			kept, err := recall(ctx, s, f, o.Name)
			return kept, partly(true, err)
		})
}

// ClaimTx makes each name the transaction's, and reads the outcome that is kept: two statements each. It doesn't fix the snapshot
// of a REPEATABLE READ transaction. Where a transaction that has claimed a name rolls back, and several wait for it, the
// server may choose one of them to go on and end the others as a deadlock: 1213, which has rolled tx back. Where MariaDB keeps
// to a snapshot that is older than an outcome (innodb_snapshot_isolation), it answers 1020. Both are Transient.
//
// In a cluster whose members all take writes, of two transactions that claim a name on different members at the same time one
// fails at its commit, with 1213.
func (d *Dialect) ClaimTx(ctx context.Context, tx *sql.Tx, names []string) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(names)); err != nil {
		return nil, fail("claim", err)
	}
	return each("claim", names, func(name string) (dialect.Outcome, error) { return claimOutcome(ctx, tx, name) })
}

func claimOutcome(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	if err := texts.Check("name", name, 255); err != nil {
		return dialect.Outcome{}, err
	}
	if _, err := engine.Exec(ctx, s, sqlClaimOutcome, name); err != nil {
		return dialect.Outcome{}, because(ctx, err)
	}
	o, _, err := engine.QueryOutcome(ctx, s, sqlRecall, name)
	return o, because(ctx, err)
}

// SettleTx writes the outcome of each name that tx has claimed, and reads it back: two statements each.
func (d *Dialect) SettleTx(ctx context.Context, tx *sql.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(done)); err != nil {
		return nil, fail("settle", err)
	}
	return each("settle", done, func(o dialect.Done) (dialect.Outcome, error) { return settleOutcome(ctx, tx, o) })
}

func settleOutcome(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	n, err := engine.Exec(ctx, s, sqlSettleOutcome, o.Fence, o.Failed, engine.Result(o.Result), engine.Micros(o.Keep), o.Name)
	if err != nil || n == 0 {
		return dialect.Outcome{}, because(ctx, err)
	}
	settled, _, err := engine.QueryOutcome(ctx, s, sqlRecall, o.Name)
	return settled, because(ctx, err)
}

// PurgeOutcomes deletes up to limit outcomes that are kept no longer, and waits for none that others are at. One statement
// finds them, and then one each deletes them.
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	return d.sweep(ctx, "purge outcomes", sqlOldOutcomes, limit, purgeOutcome)
}

func purgeOutcome(ctx context.Context, s engine.Session, f flavour, name string) (int, error) {
	return engine.Affected(sqlPurgeOutcome.run(ctx, s, f, []any{name}))
}
