package sqllock

import (
	"context"
	"errors"
	"time"
)

// Run campaigns, calls fn whenever this process leads, one call at a time, and campaigns again when a term was lost. It ends
// when fn returns on its own, or with ctx.
//
// The ctx that fn gets has the values of ctx and ends with it; with cause ErrLost when the term is lost, before anybody else
// can lead; with ErrHandOver when the leader is asked to hand over; and with ErrClosed when the Client is closed. Run then
// waits for fn to return, whatever the reason, before it resigns or does anything else: so Run doesn't give the lock up while
// fn is at work, and fn had better heed its ctx. Client.Close does give it up, at once and without waiting for fn: end ctx, and
// wait for Run, before.
//
// What follows when fn has returned:
//   - The term is still good, and nobody asked to hand over: Run resigns and returns what fn returned. That is also so if ctx
//     has ended: a fn that returns nil then makes Run return nil.
//   - The term was lost: Run campaigns again, and the Logger gets fn's error. If ctx has ended, Run returns fn's error joined with
//     ErrLost.
//   - The leader was asked to hand over: Run resigns, and stays out until somebody else leads, for five seconds at most; then it
//     campaigns again, and the Logger gets fn's error. If ctx has ended, it returns what fn returned.
//   - fn has resigned itself: Run returns what fn returned.
//
// If fn panics, Run resigns, and the panic goes on.
//
// If ctx ends while it campaigns, the error is that of Campaign. An outage of the database doesn't end Run: an unreachable
// server, or one that takes no writes, is tried again about every second, and the Logger is told. ErrInvalid (a nil fn; the name is
// in use as a lock), ErrClosed, ErrSchema, ErrDeadlock, and what the database refuses for good do end it.
func (e *Election) Run(ctx context.Context, fn func(ctx context.Context, term *Term) error) error {
	if fn == nil {
		return invalid("the function to run as leader of election %q is nil", e.w.name)
	}
	for {
		term, err := e.Campaign(ctx)
		switch {
		case err == nil:
			if again, err := term.run(ctx, fn); !again {
				return err
			}
		case ctx.Err() != nil || !e.c.passing(err):
			return err
		default:
			e.c.log.Warn("sqllock: campaigning failed; trying again", "election", e.w.name, "err", err)
			nap(ctx, jitter(campaignsEvery))
		}
	}
}

// campaignsEvery is how often one campaigns who can't reach the database, after a campaign's own retries.
const campaignsEvery = time.Second

// run calls fn while the term lasts, and ends it. Again: the process is to campaign again.
func (t *Term) run(ctx context.Context, fn func(ctx context.Context, term *Term) error) (again bool, err error) {
	defer t.Resign(ctx) //nolint:errcheck // for a panic; else it was done before
	leading, end := t.leading(ctx)
	defer end()
	err = fn(leading, t)
	asked := errors.Is(context.Cause(leading), ErrHandOver)
	end()
	over := t.lock.check()
	if lost := context.Cause(t.Context()); errors.Is(lost, ErrLost) { // also if fn has resigned after that
		over = lost
	}
	resigned := t.Resign(ctx)
	if over == nil {
		over = resigned
	}
	switch {
	case ctx.Err() == nil && (asked || errors.Is(over, ErrLost)):
		t.complain(err, resigned)
	case errors.Is(over, ErrNotHeld): // fn has resigned itself
		return false, err
	default:
		return false, also(err, over)
	}
	if asked {
		t.e.standBack(ctx, t.Number())
	}
	return true, nil
}

// leading is ctx for as long as this process leads, and isn't asked to hand over. It says that the leader's lock is held.
func (t *Term) leading(ctx context.Context) (leading context.Context, end func()) {
	leading, cancel := context.WithCancelCause(&holding{ctx, heldIn(t.Context())})
	stop := context.AfterFunc(t.Context(), func() { cancel(context.Cause(t.Context())) })
	asked := t.HandOverAsked()
	go func() {
		select {
		case <-asked:
			cancel(ErrHandOver)
		case <-leading.Done():
		}
	}()
	return leading, func() { stop(); cancel(nil) }
}

// complain logs the errors that nobody gets, since Run goes on.
func (t *Term) complain(errs ...error) {
	for _, err := range errs {
		if err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, ErrNotHeld) && !errors.Is(err, ErrHandOver) && !errors.Is(err, context.Canceled) {
			t.e.c.log.Warn("sqllock: at the end of a term", "election", t.e.w.name, "term", t.Number(), "err", err)
		}
	}
}
