package sqllock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Limits of what Once remembers.
const (
	MaxResultBytes = 64 << 10

	DefaultKeep = 24 * time.Hour
	MinKeep     = time.Second // shorter, and those who wait would do the work again
)

// Outcome is what became of the work for a key.
type Outcome struct {
	Result   []byte    // as the work's function returned it; nil where it was empty
	At       time.Time // when it was remembered, by the database's clock
	Replayed bool      // it is another call's: fn was not called or, where the lock was lost meanwhile, came too late to count
}

// OutcomeError tells that the work for a key has failed before, and that this is remembered. It is an ErrFailedBefore.
type OutcomeError struct {
	Key  string    // of the work
	At   time.Time // when it was remembered, by the database's clock
	Text string    // what the error of then said
}

// Error tells what failed when.
func (e *OutcomeError) Error() string {
	return fmt.Sprintf("sqllock: the work for %q failed at %s, and that is remembered: %s", e.Key, e.At.Format(time.RFC3339Nano), e.Text)
}

// Is makes errors.Is(err, ErrFailedBefore) true.
func (e *OutcomeError) Is(target error) bool { return target == ErrFailedBefore }

// OnceOption is a wish for work that is to be done once.
type OnceOption func(*errand)

// KeepOutcome remembers the outcome for d, from MinKeep to MaxHold, counted by the database's clock from when it was written.
// After that the work for the key would be done again. Default DefaultKeep.
func KeepOutcome(d time.Duration) OnceOption { return func(e *errand) { e.keep = d } }

// RememberFailure remembers also that the work has failed, with what its error says (cut, and marked as cut, at
// MaxResultBytes): nobody tries again, and whoever comes later gets an *OutcomeError. An error after ctx has ended, or the lock
// was lost, is not remembered: it may say no more than that. It doesn't go with OnceTx.
func RememberFailure() OnceOption { return func(e *errand) { e.failures = true } }

// OnceTTL holds the lock, under which the work is done, under a lease of that TTL, as WithTTL does: how long after the death of
// this process another waits until it does the work instead. It doesn't go with OnceTx, which takes no such lock.
func OnceTTL(ttl time.Duration) OnceOption { return func(e *errand) { e.ttl, e.withTTL = ttl, true } }

// errand is work that is to be done once.
type errand struct {
	key      string
	keep     time.Duration
	failures bool
	ttl      time.Duration
	withTTL  bool
}

// errand checks what is asked for.
func (c *Client) errand(key string, nilFn bool, opts []OnceOption) (errand, error) {
	e := errand{key: key, keep: DefaultKeep}
	for i, opt := range opts {
		if opt == nil {
			return e, invalid("option %d of the work for %q is nil", i+1, key)
		}
		opt(&e)
	}
	if err := checkText("key", key); err != nil {
		return e, err
	}
	switch {
	case nilFn:
		return e, invalid("the function to do for %q is nil", key)
	case e.keep < MinKeep || e.keep > MaxHold:
		return e, invalid("KeepOutcome(%s) of %q; it must be between %s and %s", e.keep, key, MinKeep, MaxHold)
	case e.withTTL && checkTTL(e.ttl) != nil:
		return e, checkTTL(e.ttl)
	case c.opts.WithoutTables:
		return e, fmt.Errorf("sqllock: %w: this Client was made WithoutTables, and has none to remember the outcome of %q in; "+
			"run `sqllock-migrate up`, and make it without that option", ErrUnsupported, key)
	case c.open.Err() != nil:
		return e, errClosed
	}
	return e, nil
}

// lockOptions are those of the lock under which the work is done.
func (e errand) lockOptions() []Option {
	opts := []Option{func(w *wish) { w.slot = slotOnce }}
	if e.withTTL {
		opts = append(opts, WithTTL(e.ttl))
	}
	return opts
}

// answer is what a caller gets to whom another's outcome is replayed.
func (e errand) answer(o dialect.Outcome, replayed bool) (Outcome, error) {
	if o.Failed {
		return Outcome{At: o.At, Replayed: replayed}, &OutcomeError{Key: e.key, At: o.At, Text: string(o.Result)}
	}
	return Outcome{Result: o.Result, At: o.At, Replayed: replayed}, nil
}

// checkResult refuses a result that is too large.
func (e errand) checkResult(result []byte) error {
	if len(result) > MaxResultBytes {
		return invalid("the result of the work for %q is %d bytes long; at most %d can be remembered: "+
			"remember where it is instead", e.key, len(result), MaxResultBytes)
	}
	return nil
}

// failure is the text of an error as it is remembered.
func failure(err error) []byte {
	const cut = " … (cut)"
	text := strings.ToValidUTF8(err.Error(), "�")
	if len(text) > MaxResultBytes {
		text = strings.ToValidUTF8(text[:MaxResultBytes-len(cut)], "") + cut
	}
	return []byte(text)
}

// recall looks what is remembered. It returns as soon as ctx ends.
func (c *Client) recall(ctx context.Context, e errand) (o dialect.Outcome, err error) {
	if ctx.Err() != nil {
		return o, gaveUp(ctx, e.key, nil)
	}
	o, outlived, err := detached(ctx, c, func() (o dialect.Outcome, err error) {
		_, err = c.retry(c.operation(ctx), func(ctx context.Context) (err error) {
			o, err = one(c.dialect.Recall(ctx, []string{e.key}))
			return err
		})
		return o, err
	}, func(dialect.Outcome) {})
	switch {
	case outlived:
		return o, gaveUp(ctx, e.key, nil)
	case err != nil && !errors.Is(err, ErrClosed):
		return o, c.failed(fmt.Sprintf("recalling the outcome of %q", e.key), err)
	}
	return o, err
}
