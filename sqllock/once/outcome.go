package once

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/recipe"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Limits of what [Do] remembers.
const (
	MaxResultBytes = 64 << 10

	DefaultKeep = 24 * time.Hour
	MinKeep     = time.Second // with a shorter one, callers that wait would do the work again
)

// Outcome is the outcome of the work for a key.
type Outcome struct {
	Result   []byte    // as the work's function returned it; nil if it was empty
	At       time.Time // when it was remembered, by the database's clock
	Replayed bool      // it is another call's: fn was not called, or its lock was lost and it came too late to count
}

// ErrFailedBefore means that the work for a key failed earlier and that this is remembered
// ([RememberFailure]). It comes as an [*OutcomeError].
var ErrFailedBefore = errors.New("failed before")

// ErrNotRemembered means that the work for a key was done, but its outcome may not be remembered,
// so it may be done again.
var ErrNotRemembered = errors.New("done, but not remembered")

// OutcomeError says that the work for a key failed earlier and that this is remembered. It is an
// [ErrFailedBefore].
type OutcomeError struct {
	Key  string    // the key of the work
	At   time.Time // when the failure was remembered, by the database's clock
	Text string    // the text of the error
}

// Error says which work failed, when and why.
func (e *OutcomeError) Error() string {
	return fmt.Sprintf("sqllock: the work for %q failed at %s, and that is remembered: %s",
		e.Key, e.At.Format(time.RFC3339Nano), e.Text)
}

// Is reports whether target is [ErrFailedBefore].
func (e *OutcomeError) Is(target error) bool { return target == ErrFailedBefore }

// Option is an option of [Do] and [RunOccurrence].
type Option interface{ apply(*work) }

// TxOption is an option of [DoTx], and also of [Do] and [RunOccurrence].
type TxOption interface {
	Option
	applyTx(*work)
}

type option func(*work)

func (o option) apply(w *work)   { o(w) }
func (o option) applyTx(w *work) { o(w) }

// Keep remembers the outcome for d, from [MinKeep] to [sqllock.MaxHold], counted by the database's
// clock from when the outcome was written. After that, a call does the work for the key again. The
// default is [DefaultKeep].
func Keep(d time.Duration) TxOption { return option(func(w *work) { w.keep = d }) }

// RememberFailure also remembers that the work has failed, with the text of its error (cut, and
// marked as cut, at [MaxResultBytes]). Nobody tries again, and later callers get an
// [*OutcomeError]. An error after ctx has ended or the lock was lost is not remembered, because it
// may say no more than that.
func RememberFailure() Option { return option(func(w *work) { w.failures = true }) }

// TTL sets the TTL of the lease under which the work is done, as [sqllock.WithTTL] does: how long
// after the death of this process another one waits until it does the work instead.
func TTL(ttl time.Duration) Option { return option(func(w *work) { w.ttl = ttl }) }

// work is work that is to be done once.
type work struct {
	c        recipe.Client[*sqllock.Lock]
	key      string
	keep     time.Duration
	failures bool // are remembered
	ttl      time.Duration
}

// newWork checks the key and the options.
func newWork[O Option](c *sqllock.Client, key string, nilFn bool, opts []O) (*work, error) {
	if c == nil {
		return nil, fail.Invalid("the Client of the work for %q is nil", key)
	}
	w := &work{c: recipe.Of[*sqllock.Lock](c), key: key, keep: DefaultKeep}
	w.ttl = w.c.TTL()
	for i, opt := range opts {
		if Option(opt) == nil {
			return nil, fail.Invalid("option %d of the work for %q is nil", i+1, key)
		}
		opt.apply(w)
	}
	if err := request.CheckText("key", key, sqllock.MaxNameBytes); err != nil {
		return nil, err
	}
	switch {
	case nilFn:
		return nil, fail.Invalid("the function to do for %q is nil", key)
	case w.keep < MinKeep || w.keep > sqllock.MaxHold:
		return nil, fail.Invalid("Keep(%s) of %q; it must be between %s and %s", w.keep, key, MinKeep, sqllock.MaxHold)
	case w.c.Store().Open().Err() != nil:
		return nil, fmt.Errorf("sqllock: %w", sqllock.ErrClosed)
	}
	req := w.request()
	return w, w.c.Check(&req)
}

// request returns the request of the lock under which the work is done.
func (w *work) request() request.Request {
	return request.Request{Name: w.key, Slot: request.SlotOnce, TTL: w.ttl}
}

// answer returns what a caller gets from a remembered outcome.
func (w *work) answer(o dialect.Outcome, replayed bool) (Outcome, error) {
	if o.Failed {
		return Outcome{At: o.At, Replayed: replayed}, &OutcomeError{Key: w.key, At: o.At, Text: string(o.Result)}
	}
	return Outcome{Result: o.Result, At: o.At, Replayed: replayed}, nil
}

// checkResult returns an error if the result is too long to be remembered.
func (w *work) checkResult(result []byte) error {
	if len(result) > MaxResultBytes {
		return fail.Invalid("the result of the work for %q is %d bytes long; at most %d can be remembered: "+
			"remember where it is instead", w.key, len(result), MaxResultBytes)
	}
	return nil
}

// failure returns the text of an error as it is remembered.
func failure(err error) []byte {
	const cut = " … (cut)"
	text := strings.ToValidUTF8(err.Error(), "�")
	if len(text) > MaxResultBytes {
		text = strings.ToValidUTF8(text[:MaxResultBytes-len(cut)], "") + cut
	}
	return []byte(text)
}

// recall reads the remembered outcome. It returns as soon as ctx ends.
func (w *work) recall(ctx context.Context) (o dialect.Outcome, err error) {
	if ctx.Err() != nil {
		return o, w.c.GaveUp(ctx, w.key)
	}
	db := w.c.Store()
	o, abandoned, err := store.RunDetached(ctx, db, func() (dialect.Outcome, error) {
		return db.RecallOutcome(db.Operation(ctx), w.key)
	}, func(dialect.Outcome) {})
	switch {
	case abandoned:
		return o, w.c.GaveUp(ctx, w.key)
	case err != nil && !errors.Is(err, sqllock.ErrClosed):
		return o, w.c.Failed(fmt.Sprintf("recalling the outcome of %q", w.key), err)
	}
	return o, err
}
