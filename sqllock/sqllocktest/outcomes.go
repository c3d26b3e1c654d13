package sqllocktest

import (
	"bytes"
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// outcome is a remembered outcome.
type outcome struct {
	dialect.Outcome
	keepUntil time.Time
}

// Recall implements [dialect.Outcomes].
func (d *Dialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return each(ctx, d, OpRecall, names, d.kept)
}

// Remember implements [dialect.Outcomes].
func (d *Dialect) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	return each(ctx, d, OpRemember, done, d.remember)
}

// ClaimTx returns the remembered outcome of each name. It ignores tx, which may be nil, so nothing
// keeps others from claiming the same name meanwhile.
func (d *Dialect) ClaimTx(ctx context.Context, _ dialect.Tx, names []string) ([]dialect.Outcome, error) {
	return each(ctx, d, OpClaimTx, names, d.kept)
}

// RememberTx is [Dialect.Remember]. It ignores tx, which may be nil, so the outcome is remembered
// at once, whether tx commits or not.
func (d *Dialect) RememberTx(ctx context.Context, _ dialect.Tx, done []dialect.Done) ([]dialect.Outcome, error) {
	return each(ctx, d, OpRememberTx, done, d.remember)
}

// PurgeOutcomes implements [dialect.Outcomes].
func (d *Dialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	purged := 0
	err := d.do(ctx, OpPurgeOutcomes, func(now time.Time) {
		for name, o := range d.outcomes {
			if purged < limit && !o.keepUntil.After(now) {
				delete(d.outcomes, name)
				purged++
			}
		}
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}

// kept returns the outcome of a name if its time to be kept is not over. The caller holds mu.
func (d *Dialect) kept(now time.Time, name string) dialect.Outcome {
	o := d.outcomes[name]
	if !o.keepUntil.After(now) {
		return dialect.Outcome{}
	}
	o.Result = bytes.Clone(o.Result)
	return o.Outcome
}

// remember writes an outcome unless one is kept, and returns the one that is kept. The caller holds
// mu.
func (d *Dialect) remember(now time.Time, done dialect.Done) dialect.Outcome {
	if !d.kept(now, done.Name).Kept {
		o := dialect.Outcome{Kept: true, Fence: done.Fence, Failed: done.Failed, At: now.Round(0).UTC()}
		if len(done.Result) > 0 {
			o.Result = bytes.Clone(done.Result)
		}
		d.outcomes[done.Name] = outcome{Outcome: o, keepUntil: now.Add(done.Keep)}
	}
	return d.kept(now, done.Name)
}
