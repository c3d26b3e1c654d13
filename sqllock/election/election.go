package election

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/recipe"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// ErrHandOver means that the leader was asked to hand over to another candidate. The ctx that
// [Election.Run] gives its function ends with this cause.
var ErrHandOver = errors.New("asked to hand over")

// Election lets processes elect one of them as the leader, again and again. The leader is the
// process that holds the election's lock, under a lease, until it resigns or its lease expires.
// Everything that is true of a lease lock is true of the lead. An Election's methods are safe for
// concurrent use. A process may have several Elections of one name.
type Election struct {
	c   recipe.Client[*sqllock.Lock]
	req request.Request // for the leader's lock

	mu      sync.Mutex
	yielded map[preference]yieldStage // what this process has yielded to, and how far; guarded by mu
}

// New returns the election of that name. It does not call the database. The options are
// [sqllock.WithTTL] (for how long after the death of a leader nobody else leads),
// [sqllock.WithNote] (what people see of this candidate when it leads), [sqllock.LockDelay],
// [Priority] and [OnQueued].
//
// New returns [sqllock.ErrInvalid] if c is nil, or if the name or an option breaks a rule. It
// returns [sqllock.ErrUnsupported] if c was made with [sqllock.Options].WithoutTables.
func New(c *sqllock.Client, name string, opts ...Option) (*Election, error) {
	if c == nil {
		return nil, fail.Invalid("the Client of election %q is nil", name)
	}
	e := &Election{c: recipe.Of[*sqllock.Lock](c)}
	e.req = request.Request{Name: name, Slot: request.SlotElection, TTL: e.c.TTL()}
	err := request.Apply(&e.req, opts, Option.ApplyElection)
	if err == nil {
		err = e.c.Check(&e.req)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Name returns the election's name.
func (e *Election) Name() string { return e.req.Name }

// Campaign waits until this process leads or ctx ends. ctx bounds only the wait, not the term. A
// process that leads and campaigns again waits for itself.
//
// If ctx ends first, the error is both [sqllock.ErrNotAcquired], usually with a
// [*sqllock.HeldError] that says who leads, and ctx.Err(). Any other error means one of these:
//
//   - The database refuses the campaign, for instance because it takes no writes.
//   - The [sqllock.Client] was closed ([sqllock.ErrClosed]).
//   - ctx comes from a lock that is held and that the leader waits for ([sqllock.ErrDeadlock], see
//     [sqllock.Client.Acquire]).
//
// Candidates are served in the order of [sqllock.Client.Acquire], with two exceptions: a candidate
// of a higher [Priority], and one that [Election.HandOverTo] names. The other candidates yield to
// such a candidate before their Campaign returns, for as long as it takes to take the lead, but for
// five seconds at most.
func (e *Election) Campaign(ctx context.Context) (*Term, error) {
	for {
		lock, err := e.c.Acquire(ctx, e.req)
		if err != nil {
			return nil, err
		}
		to, err := e.preferred(ctx, lock)
		switch {
		case err != nil:
			e.c.Discard(lock)
			return nil, err
		case to == nil:
			return e.begin(lock), nil
		}
		e.c.Log().Info("sqllock: yielding the lead to another candidate",
			"election", e.req.Name, "candidate", e.c.Holder(), "to", to.Holder)
		if err := lock.Release(ctx); err != nil && !errors.Is(err, sqllock.ErrLost) {
			e.c.Log().Warn("sqllock: yielding the lead to another candidate failed", "election", e.req.Name, "err", err)
		}
		e.yieldLeadership(ctx, lock.Fence(), to)
	}
}

// failed returns the error for a call that the database refused or couldn't carry out.
func (e *Election) failed(doing string, err error) error {
	if errors.Is(err, sqllock.ErrClosed) || errors.Is(err, sqllock.ErrInvalid) {
		return err
	}
	return e.c.Failed(fmt.Sprintf("%s election %q", doing, e.req.Name), err)
}

// Term is the time for which one candidate leads. Its methods are safe for concurrent use.
type Term struct {
	e       *Election
	lock    *sqllock.Lock
	unwatch func() bool // stops noting the term's end; false if it was noted or is about to be
	trace   termTrace

	watch sync.Once
	asked chan struct{} // closed when the leader is asked to hand over
	to    *rival        // the candidate to hand over to; nil for whichever comes first; set before asked is closed
}

// begin makes a term of the leader's lock. The start and the end of leading are logged here alone,
// and so only for a candidate that has led (the OnStoppedLeading of kubernetes/client-go is also
// called for one that has not).
func (e *Election) begin(lock *sqllock.Lock) *Term {
	t := &Term{e: e, lock: lock, asked: make(chan struct{})}
	e.c.Log().Info("sqllock: started leading", "election", e.req.Name, "term", t.Number(), "leader", e.c.Holder())
	t.trace.begin(t)
	t.unwatch = context.AfterFunc(lock.Context(), func() { t.ended(context.Cause(lock.Context())) })
	return t
}

func (t *Term) ended(why error) {
	t.e.c.Log().Info("sqllock: stopped leading",
		"election", t.e.req.Name, "term", t.Number(), "leader", t.e.c.Holder(), "why", why)
	t.trace.end(why)
}

// Number returns the term's number, which is greater than that of every earlier term. It is a
// fencing token (see [sqllock.Lock.Fence]), so it grows, but not by one.
func (t *Term) Number() int64 { return t.lock.Fence() }

// Context returns a context that ends in these cases:
//
//   - With cause [sqllock.ErrLost] when this process can no longer be sure that it leads. That is
//     before its lease expires, and so before anybody else can lead.
//   - With cause [sqllock.ErrNotHeld] when this process has resigned.
//   - With cause [sqllock.ErrClosed] when the [sqllock.Client] is closed.
//
// It has the values of the ctx of [Election.Campaign], but not that ctx's deadline or cancellation.
func (t *Term) Context() context.Context { return t.lock.Context() }

// Remaining returns for how long from now nobody else can lead, even if no heartbeat succeeds any
// more. It returns [sqllock.Lock.Remaining] of the leader's lock.
func (t *Term) Remaining() time.Duration { return t.lock.Remaining() }

// Guard makes sure that nobody else leads before tx has ended. It calls [sqllock.Lock.Guard] on the
// leader's lock, and returns its errors.
func (t *Term) Guard(ctx context.Context, tx sqllock.Tx) error { return t.lock.Guard(ctx, tx) }

// Resign ends the term, so that another candidate can lead at once. Before you call Resign, stop
// everything that only a leader may do. Resign calls [sqllock.Lock.Release] on the leader's lock:
// it also works if ctx has ended, and blocks for a few seconds at most. It returns
// [sqllock.ErrLost] if the term was over before, and [sqllock.ErrNotHeld] at a second call.
func (t *Term) Resign(ctx context.Context) error {
	if t.e.c.LockErr(t.lock) == nil && t.unwatch() {
		t.ended(errResigned)
	}
	return t.lock.Release(ctx)
}

var errResigned = errors.New("it resigned")

// HandOverAsked returns a channel that is closed when the leader of this term is asked to hand
// over: by [Election.HandOver], by [Election.HandOverTo], or because a candidate of a higher
// [Priority] waits. Finish the work in progress then, and call [Term.Resign].
//
// From the first call on and for the rest of the term, a goroutine polls the database about once a
// second for such requests. A leader that never calls HandOverAsked can't be asked. [Election.Run]
// does all of this by itself.
func (t *Term) HandOverAsked() <-chan struct{} {
	t.watch.Do(func() { t.e.c.Store().Spawn(t.listen) })
	return t.asked
}

// handOverCheck is how often a leader checks whether it is asked to hand over.
const handOverCheck = time.Second

func (t *Term) listen() {
	for store.Sleep(t.Context(), store.Jitter(handOverCheck)) {
		ctx, cancel := t.e.c.Store().Within(store.OperationTimeout)
		by, to, err := t.e.asked(ctx, t.lock, yieldAsked)
		cancel()
		switch {
		case err != nil:
			t.e.c.Log().Debug("sqllock: checking for requests to hand over failed; trying again",
				"election", t.e.req.Name, "err", err)
		case by != "":
			t.to = to
			t.e.c.Log().Info("sqllock: asked to hand over",
				"election", t.e.req.Name, "term", t.Number(), "by", by, "to", t.to.name())
			close(t.asked)
			return
		}
	}
}

// Run campaigns, calls fn while this process leads, one call at a time, and campaigns again when a
// term was lost. It blocks until fn returns of its own accord or ctx ends.
//
// The ctx that fn gets has the values of ctx and ends with it. It also ends with one of these
// causes:
//
//   - [sqllock.ErrLost] when the term is lost, before anybody else can lead.
//   - [ErrHandOver] when the leader is asked to hand over.
//   - [sqllock.ErrClosed] when the [sqllock.Client] is closed.
//
// In each case Run waits for fn to return before it resigns or does anything else. So Run does not
// release the lead while fn runs, and fn should return soon after its ctx ends.
// [sqllock.Client.Close] does release the lead, at once and without waiting for fn: end ctx and
// wait for Run before you call it.
//
// When fn has returned:
//
//   - If the term is still valid and nobody asked to hand over, Run resigns and returns fn's error.
//     That is also the case if ctx has ended: if fn returns nil, so does Run.
//   - If the term was lost, Run logs fn's error and campaigns again. If ctx has ended, it returns
//     fn's error joined with ErrLost.
//   - If the leader was asked to hand over, by [Election.HandOver], by [Election.HandOverTo] or
//     because a candidate of a higher [Priority] waits, Run resigns and logs fn's error. It
//     campaigns again when somebody else leads, when the named candidate has left the queue, or
//     after five seconds. If ctx has ended, it returns fn's error.
//   - If fn has resigned itself ([Term.Resign]), Run returns fn's error.
//
// If fn panics, Run resigns, and the panic goes on.
//
// If ctx is canceled while this process does not lead, Run returns nil, because a process that is
// told to end has not failed if another one leads. It doesn't lead while it campaigns, pauses after
// a failed campaign or stays out after a hand-over. "Canceled" means by a cancel function or by
// signal.NotifyContext. If ctx ends by a deadline or with another cause
// ([context.WithCancelCause]), Run returns Campaign's error.
//
// An outage of the database does not end Run. It logs that the server is unreachable or takes no
// writes, and tries again about every second. These errors do end it: [sqllock.ErrInvalid] (fn is
// nil), ErrClosed, [sqllock.ErrSchema], [sqllock.ErrDeadlock], and whatever the database refuses
// permanently.
func (e *Election) Run(ctx context.Context, fn func(ctx context.Context, term *Term) error) error {
	if fn == nil {
		return fail.Invalid("the function to run as leader of election %q is nil", e.req.Name)
	}
	for {
		term, err := e.Campaign(ctx)
		switch {
		case err == nil:
			if again, err := term.run(ctx, fn); !again {
				return err
			}
		case errors.Is(context.Cause(ctx), context.Canceled) && errors.Is(err, context.Canceled):
			return nil
		case ctx.Err() != nil || !e.c.Passing(err):
			return err
		default:
			e.c.Log().Warn("sqllock: campaigning failed; trying again", "election", e.req.Name, "err", err)
			store.Sleep(ctx, store.Jitter(campaignsEvery))
		}
	}
}

// campaignsEvery is the pause between campaigns that fail, after each campaign's own retries.
const campaignsEvery = time.Second

// run calls fn while the term lasts, and then ends the term. again reports that the process has to
// campaign again.
func (t *Term) run(ctx context.Context, fn func(ctx context.Context, term *Term) error) (again bool, err error) {
	defer t.Resign(ctx) //nolint:errcheck // for a panic; otherwise it was resigned before
	leading, end := t.leading(ctx)
	defer end()
	err = fn(leading, t)
	asked := errors.Is(context.Cause(leading), ErrHandOver)
	end()
	over := t.e.c.LockErr(t.lock)
	if lost := context.Cause(t.Context()); errors.Is(lost, sqllock.ErrLost) { // also if fn has resigned after that
		over = lost
	}
	resigned := t.Resign(ctx)
	if over == nil {
		over = resigned
	}
	switch {
	case ctx.Err() == nil && (asked || errors.Is(over, sqllock.ErrLost)):
		t.logErrors(err, resigned)
	case errors.Is(over, sqllock.ErrNotHeld): // fn has resigned itself
		return false, err
	default:
		return false, fail.Also(err, over)
	}
	if asked {
		t.e.yieldLeadership(ctx, t.Number(), t.to)
	}
	return true, nil
}

// leading returns a context that ends when ctx ends, when this process no longer leads, or when it
// is asked to hand over. The context says that the leader's lock is held.
func (t *Term) leading(ctx context.Context) (leading context.Context, end func()) {
	leading, cancel := t.e.c.Scope(ctx, t.lock)
	asked := t.HandOverAsked()
	go func() {
		select {
		case <-asked:
			cancel(ErrHandOver)
		case <-leading.Done():
		}
	}()
	return leading, func() { cancel(nil) }
}

// logErrors logs the errors that no caller gets because Run goes on.
func (t *Term) logErrors(errs ...error) {
	for _, err := range errs {
		if err != nil && !errors.Is(err, sqllock.ErrLost) && !errors.Is(err, sqllock.ErrNotHeld) &&
			!errors.Is(err, ErrHandOver) && !errors.Is(err, context.Canceled) {
			t.e.c.Log().Warn("sqllock: error at the end of a term",
				"election", t.e.req.Name, "term", t.Number(), "err", err)
		}
	}
}
