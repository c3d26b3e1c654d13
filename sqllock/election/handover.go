package election

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// HandOver asks the leader to hand over, from any process, and waits until that term is over, for
// whatever reason. The leader sees the request within about a second and ends its work
// ([Election.Run], [Term.HandOverAsked]). HandOver returns nil at once if nobody leads. It returns
// an error if ctx ended first or if the database refused something permanently; it waits out
// outages. Before it returns, it withdraws the request.
//
// The next leader is the candidate that comes first, not the caller of HandOver. For a deploy
// without a gap, let the new process campaign first and call [Election.HandOverTo].
//
// The request is a lock of its own under a lease of the Election's TTL, so it ends if the process
// that asks dies. It names the term that it is about, so no later leader follows the request.
func (e *Election) HandOver(ctx context.Context) error {
	present, err := e.currentLeader(ctx)
	for err != nil && ctx.Err() == nil && e.c.Passing(err) {
		present, err = e.currentLeader(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w (%w)", err, fail.Ended(ctx))
	case err != nil || present == Leader{}:
		return err
	}
	r := e.newHandOverRequest(strconv.FormatInt(present.Term, 10), false)
	defer r.withdraw(ctx)
	for {
		now := present
		err := r.ensure(ctx)
		if err == nil && store.Sleep(ctx, store.Jitter(handOverPoll)) {
			now, err = e.currentLeader(ctx)
		}
		switch {
		case err == nil && now.Term != present.Term:
			return nil
		case ctx.Err() != nil:
			why := r.notFollowed(present, "to hand over")
			return fmt.Errorf("sqllock: election %q: %s: %w", e.req.Name, why, fail.Ended(ctx))
		case err != nil && !e.c.Passing(err):
			return err
		case err != nil: // for instance a server that takes no writes, which says so at once
			store.Sleep(ctx, store.Jitter(handOverPoll))
		}
	}
}

// HandOverTo asks the leader to hand over to the candidate with that [sqllock.Options].Holder, and
// returns nil when that candidate leads, or at once if it leads already.
//
// HandOverTo first waits until the candidate is in the election's queue, which means that it
// campaigns ([OnQueued]). From then on any other leader is asked to hand over, and any other
// candidate that wins yields to the named one ([Election.Campaign]), whatever the order of the
// queue and the candidates' [Priority]. Afterwards Priority counts again: a candidate of a higher
// priority takes the lead from the named one.
//
// If ctx ends first, the error says how far the hand-over has come:
//
//   - No candidate of that name waits.
//   - The leader, which the error names, was asked and still leads.
//   - Another candidate leads in the meantime.
//   - A request of another caller for another hand-over is in place. Such requests are carried out
//     one after the other. HandOverTo logs that it waits for the other one.
//
// Its other errors are those of [Election.HandOver], and [sqllock.ErrInvalid] if no holder can have
// that name.
//
// HandOverTo can't distinguish processes with the same Holder, so give each process a name of its
// own, as the default does. If a candidate hangs and does not take the lead that is yielded to it,
// another leads after five seconds. Candidates of a version without HandOverTo ignore it.
func (e *Election) HandOverTo(ctx context.Context, holder string) error {
	if err := request.CheckText("holder to hand over to", holder, sqllock.MaxNameBytes); err != nil {
		return err
	}
	r := e.newHandOverRequest(holder, true)
	defer r.withdraw(ctx)
	state := "it could not be found out who leads and who waits to lead"
	for asked := (Leader{}); ; {
		now, waits, err := e.seesCandidate(ctx, holder)
		switch {
		case err != nil:
		case now.Holder == holder:
			return nil
		case !waits:
			state, asked = nobodyWaits(now), Leader{}
			r.withdraw(ctx)
		default:
			if err = r.ensure(ctx); err == nil {
				if asked == (Leader{}) && !r.other.Held {
					asked = now
				}
				state = r.state(asked, now)
			}
		}
		switch {
		case err != nil && ctx.Err() == nil && !e.c.Passing(err):
			return err
		case store.Sleep(ctx, store.Jitter(handOverPoll)):
		case err != nil && !errors.Is(err, ctx.Err()):
			return fmt.Errorf("sqllock: election %q: handing over to %q: %s: %w (%w)",
				e.req.Name, holder, state, fail.Ended(ctx), err)
		default:
			return fmt.Errorf("sqllock: election %q: handing over to %q: %s: %w",
				e.req.Name, holder, state, fail.Ended(ctx))
		}
	}
}

// seesCandidate reads who leads and whether a candidate of that name waits. It reads the queue
// first, so that a candidate that takes the lead between the two reads is found to lead. Like
// currentLeader, it blocks for OperationTimeout at most.
func (e *Election) seesCandidate(ctx context.Context, holder string) (now Leader, waits bool, err error) {
	readCtx, cancel := context.WithTimeout(ctx, store.OperationTimeout)
	defer cancel()
	queue, err := e.queue(readCtx)
	if err == nil {
		now, err = e.currentLeader(ctx)
	}
	return now, slices.ContainsFunc(queue, func(w dialect.Waiting) bool { return w.Holder == holder }), err
}

func nobodyWaits(now Leader) string {
	leads := "and nobody leads"
	if now != (Leader{}) {
		leads = fmt.Sprintf("and %s leads, in term %d", now.Holder, now.Term)
	}
	return fmt.Sprintf("nobody of that name waits to lead "+
		"(is it the Options.Holder of its Client, and does it campaign?), %s", leads)
}

// handOverRequest is a request to hand over that this process makes.
type handOverRequest struct {
	e     *Election
	req   request.Request
	lock  *sqllock.Lock
	other dialect.Row // another caller's request for another hand-over, while it is in place
}

// newHandOverRequest returns a request with that note: the number of the term that is to end or, if
// handsTo is true, the holder that is to lead.
func (e *Election) newHandOverRequest(note string, handsTo bool) *handOverRequest {
	req := request.Request{Name: e.req.Name, Slot: request.SlotHandOver, TTL: e.req.TTL, Note: note, HandsTo: handsTo}
	return &handOverRequest{e: e, req: req}
}

// ensure makes sure that a request is in place: this one, or one of another caller that asks for
// the same. Two requests about terms count as the same, because the other caller will soon find
// that its term is over.
func (r *handOverRequest) ensure(ctx context.Context) error {
	if r.lock != nil && r.e.c.LockErr(r.lock) == nil {
		return nil
	}
	lock, err := r.e.c.Attempt(ctx, r.req, false)
	if lock != nil {
		r.withdraw(ctx)
		r.lock, r.other = lock, dialect.Row{}
	}
	if _, held := errors.AsType[*sqllock.HeldError](err); held {
		return r.inspect(ctx)
	}
	return err
}

// inspect finds out what the request in place is about.
func (r *handOverRequest) inspect(ctx context.Context) error {
	_, stands, err := r.e.readLeader(ctx)
	if err != nil {
		return err
	}
	same := request.HandsTo(stands.Owner) == r.req.HandsTo && (!r.req.HandsTo || stands.Note == r.req.Note)
	if same || !alive(stands) {
		stands = dialect.Row{}
	}
	if stands.Held && stands.Owner != r.other.Owner {
		r.e.c.Log().Warn("sqllock: another hand-over was asked for before; waiting until that is over",
			"election", r.e.req.Name, "asked", r.req.Note, "by", stands.Holder, "for", stands.Note,
			"since", stands.AcquiredAt)
	}
	r.other = stands
	return nil
}

// state describes how far a request has come that names a waiting candidate. asked is the leader
// when the request was put in place.
func (r *handOverRequest) state(asked, now Leader) string {
	switch to := r.req.Note; {
	case r.other.Held || now != Leader{} && asked.Term == now.Term:
		return r.notFollowed(now, "to hand over to "+to)
	case now == Leader{}:
		return fmt.Sprintf("%s waits to lead, and nobody leads yet", to)
	default:
		return fmt.Sprintf("%s was asked, in term %d, and %s leads now, in term %d: %s waits to lead and doesn't take "+
			"the lead, or %s is of a version that yields to nobody",
			asked.Holder, asked.Term, now.Holder, now.Term, to, now.Holder)
	}
}

// notFollowed says why that leader hasn't handed over.
func (r *handOverRequest) notFollowed(now Leader, what string) string {
	if !r.other.Held {
		return fmt.Sprintf("%s was asked %s, and still leads, in term %d "+
			"(does it check? Run does, and Term.HandOverAsked)", now.Holder, what, now.Term)
	}
	about := "of term " + r.other.Note + " to hand over"
	if request.HandsTo(r.other.Owner) {
		about = "to hand over to " + r.other.Note
	}
	return fmt.Sprintf("nobody could be asked %s, since %s asks the leader %s since %s", what, r.other.Holder, about,
		r.other.AcquiredAt.UTC().Format(time.RFC3339))
}

func (r *handOverRequest) withdraw(ctx context.Context) {
	if r.lock == nil {
		return
	}
	err := r.lock.Release(ctx)
	if err != nil && !errors.Is(err, sqllock.ErrLost) && !errors.Is(err, sqllock.ErrClosed) {
		r.e.c.Log().Warn("sqllock: withdrawing a request to hand over failed; its lease will expire",
			"election", r.e.req.Name, "err", err)
	}
	r.lock = nil
}

// yieldTimeout bounds how long a process that was asked to hand over lets the others lead: longer
// than two of their polls.
const yieldTimeout = 5 * time.Second

// yieldLeadership waits until somebody else leads or, if to is set, until that candidate has left
// the queue, for yieldTimeout at most.
func (e *Election) yieldLeadership(ctx context.Context, term int64, to *rival) {
	ctx, cancel := context.WithTimeout(ctx, yieldTimeout)
	defer cancel()
	if to != nil {
		e.markYielded(to.preference, yieldDone)
	}
	for store.Sleep(ctx, store.Jitter(handOverPoll)) && e.c.Store().Open().Err() == nil {
		if to != nil {
			if waits, err := e.waits(ctx, to); err == nil && !waits {
				return
			}
		} else if l, err := e.currentLeader(ctx); err == nil && l.Term != 0 && l.Term != term {
			return
		}
	}
}
