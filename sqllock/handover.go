package sqllock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// asksEvery is how often one who asks for a hand-over looks whether it is done.
const asksEvery = 250 * time.Millisecond

// HandOver asks whoever leads to hand over, from any process, and returns when that term is over, in whatever way: the leader
// finds the request within about a second, and ends what it is at (Run; Term.HandOverAsked). At once if nobody leads. An error
// says that ctx ended first, that the database refused something for good (its outages are sat out), or that the name is in
// use as a lock (ErrInvalid); the request is withdrawn then.
//
// For a deploy without a gap: let the new process campaign first, and ask then. The next leader is who comes first, not
// whoever asked.
//
// The request is itself a lock under a lease of the Election's TTL, so that it dies with whoever asks, and it names the term
// that it is about, so that no other leader goes by it.
func (e *Election) HandOver(ctx context.Context) error {
	present, err := e.glance(ctx)
	for err != nil && ctx.Err() == nil && e.c.passing(err) {
		present, err = e.glance(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w (%w)", err, ended(ctx))
	case err != nil || present == Leader{}:
		return err
	}
	r := request{e: e, w: wish{name: e.w.name, slot: slotHandOver, use: useElection, ttl: e.w.ttl}}
	r.w.note = strconv.FormatInt(present.Term, 10)
	defer r.withdraw(ctx)
	for {
		now := present
		err := r.stand(ctx)
		if err == nil && nap(ctx, jitter(asksEvery)) {
			now, err = e.glance(ctx)
		}
		switch {
		case err == nil && now.Term != present.Term:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("sqllock: election %q: %s was asked to hand over, and still leads, in term %d (does it look? "+
				"Run does; or Term.HandOverAsked): %w", e.w.name, present.Holder, present.Term, ended(ctx))
		case err != nil && !e.c.passing(err):
			return err
		case err != nil: // a server that takes no writes says so at once
			nap(ctx, jitter(asksEvery))
		}
	}
}

// request is a request to hand over that somebody makes.
type request struct {
	e    *Election
	w    wish
	lock *Lock
}

// stand makes sure that a request stands: ours, or that of somebody else, who is taken for one that is about the same term, or
// will soon find that his is over.
func (r *request) stand(ctx context.Context) error {
	if r.lock != nil && r.lock.check() == nil {
		return nil
	}
	lock, _, err := r.e.c.attempt(ctx, r.w, false, func() {})
	if lock != nil {
		r.withdraw(ctx)
		r.lock = lock
	}
	if _, held := errors.AsType[*HeldError](err); held {
		return nil
	}
	return err
}

func (r *request) withdraw(ctx context.Context) {
	if r.lock == nil {
		return
	}
	if err := r.lock.Release(ctx); err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, ErrClosed) {
		r.e.c.log.Warn("sqllock: withdrawing a request to hand over failed; its lease will run out", "election", r.w.name, "err", err)
	}
}

// askedBy is who asks the leader of that term to hand over; empty: nobody.
func (e *Election) askedBy(ctx context.Context, term int64) (string, error) {
	_, asks, err := e.look(ctx)
	if err != nil || !asks.Held || asks.Lease != dialect.LeaseLive || asks.Note != strconv.FormatInt(term, 10) {
		return "", err
	}
	return asks.Holder, nil
}

// standsBack is how long one who was asked to hand over leaves it to the others to lead: longer than two looks of who waits.
const standsBack = 5 * time.Second

// standBack waits until somebody else leads, for standsBack at most.
func (e *Election) standBack(ctx context.Context, term int64) {
	ctx, cancel := context.WithTimeout(ctx, standsBack)
	defer cancel()
	for nap(ctx, jitter(asksEvery)) && e.c.open.Err() == nil {
		if l, err := e.glance(ctx); err == nil && l.Term != 0 && l.Term != term {
			return
		}
	}
}
