package postgres

import (
	"context"
	"encoding/hex"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Recall reads the outcome that is kept for each name. It runs one statement for each and waits for
// nothing.
func (d *Dialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	if len(names) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx, d.pool)
	if err != nil {
		return nil, fail("recall", err)
	}
	return each("recall", names, func(name string) (dialect.Outcome, error) { return f.recalled(ctx, d.pool, name) })
}

func (f *flavour) recalled(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := outcome(ctx, s, f.recall, name)
	return o, err
}

func outcome(ctx context.Context, s engine.Session, text string, args ...any) (dialect.Outcome, bool, error) {
	o, found, err := engine.QueryOutcome(ctx, s, text, args...)
	if err != nil || !o.Kept || len(o.Result) == 0 {
		return o, found, engine.WithCause(ctx, err)
	}
	o.Result, err = hex.DecodeString(string(o.Result))
	return o, found, err
}

// Remember writes each outcome, unless one is kept for its name already. It runs one statement for
// each, and one more to read an outcome that is kept.
func (d *Dialect) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	if len(done) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx, d.pool)
	if err != nil {
		return nil, fail("remember", err)
	}
	return each("remember", done, func(o dialect.Done) (dialect.Outcome, error) { return f.remember(ctx, d.pool, o) })
}

func (f *flavour) remember(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	return engine.FirstWins(
		func() (dialect.Outcome, bool, error) { return write(ctx, s, sqlRemember, o) },
		func() (dialect.Outcome, error) { return f.recalled(ctx, s, o.Name) })
}

func write(ctx context.Context, s engine.Session, text string, o dialect.Done) (dialect.Outcome, bool, error) {
	return outcome(ctx, s, text, o.Name, o.Fence, o.Failed, hex.EncodeToString(o.Result), engine.Micros(o.Keep))
}

// ClaimTx reserves each name for the transaction, or returns the outcome that is kept for it. It
// runs one statement for each name. Above READ COMMITTED, if another transaction has remembered an
// outcome of the name since tx began, the error is a serialization failure (40001, Transient).
func (d *Dialect) ClaimTx(ctx context.Context, tx dialect.Tx, names []string) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(names)); err != nil {
		return nil, fail("claim", err)
	}
	if len(names) == 0 {
		return nil, nil
	}
	s := d.pool.in(ctx, tx)
	return each("claim", names, func(name string) (dialect.Outcome, error) { return claimOutcome(ctx, s, name) })
}

func claimOutcome(ctx context.Context, s engine.Session, name string) (dialect.Outcome, error) {
	o, _, err := outcome(ctx, s, sqlClaimOutcome, name)
	return o, err
}

// RememberTx writes the outcome of each name that tx has claimed. It runs one statement for each.
func (d *Dialect) RememberTx(ctx context.Context, tx dialect.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	if err := engine.CheckTx(tx, len(done)); err != nil {
		return nil, fail("remember in a transaction", err)
	}
	if len(done) == 0 {
		return nil, nil
	}
	s := d.pool.in(ctx, tx)
	return each("remember in a transaction", done, func(o dialect.Done) (dialect.Outcome, error) {
		return rememberTx(ctx, s, o)
	})
}

func rememberTx(ctx context.Context, s engine.Session, o dialect.Done) (dialect.Outcome, error) {
	remembered, _, err := write(ctx, s, sqlRememberTx, o)
	return remembered, err
}

// PurgeOutcomes deletes up to limit outcomes whose time has passed, and returns how many. It skips
// rows that other transactions have locked.
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeOutcomes, int64(max(limit, 0)))
	return n, fail("purge outcomes", err)
}
