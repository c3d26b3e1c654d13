package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// Term is the time for which one candidate leads. Its methods are safe for concurrent use.
type Term struct {
	e       *Election
	lock    *Lock
	unheard func() bool // takes back that the term's end by itself is logged. False: it is, or will be

	watch sync.Once
	asked chan struct{}
}

// begin makes a term of the leader's lock. That somebody leads, or doesn't any more, is said here alone, and so only of who
// has led (kubernetes/client-go's OnStoppedLeading is also called for who has not).
func (e *Election) begin(lock *Lock) *Term {
	t := &Term{e: e, lock: lock, asked: make(chan struct{})}
	e.c.log.Info("sqllock: started leading", "election", e.w.name, "term", t.Number(), "leader", e.c.opts.Holder)
	t.unheard = context.AfterFunc(lock.Context(), func() { t.ended(context.Cause(lock.Context())) })
	return t
}

func (t *Term) ended(why error) {
	t.e.c.log.Info("sqllock: stopped leading", "election", t.e.w.name, "term", t.Number(), "leader", t.e.c.opts.Holder, "why", why)
}

// Number is the term's number: greater than that of every term before. It is a fencing token (see Lock.Fence), and so grows, but
// not by one.
func (t *Term) Number() int64 { return t.lock.Fence() }

// Context ends when this process can't be sure any longer that it leads: with cause ErrLost, before its lease runs out and so
// before anybody else can lead; with ErrNotHeld when it has resigned; with ErrClosed when the Client is closed. It has the
// values of the ctx of Campaign, not its end.
func (t *Term) Context() context.Context { return t.lock.Context() }

// Guard makes sure that nobody else leads before tx has ended: Lock.Guard of the leader's lock, with its errors.
func (t *Term) Guard(ctx context.Context, tx *sql.Tx) error { return t.lock.Guard(ctx, tx) }

// Resign ends the term, so that another candidate can lead at once. It is Lock.Release: it does so even if ctx has ended, and
// blocks for a few seconds at most; ErrLost if the term was over before, ErrNotHeld at the second call. Stop what only a
// leader may do before.
func (t *Term) Resign(ctx context.Context) error {
	if t.lock.check() == nil && t.unheard() {
		t.ended(errResigned)
	}
	return t.lock.Release(ctx)
}

var errResigned = errors.New("it resigned")

// HandOverAsked is closed when somebody asks the leader of this term to hand over (Election.HandOver): finish what is under
// way, and Resign. From the first call of it on, and as long as the term lasts, a look at the database about every second
// finds that out. Who never calls it can't be asked. Run does all that by itself.
func (t *Term) HandOverAsked() <-chan struct{} {
	t.watch.Do(func() { t.e.c.spawn(t.listen) })
	return t.asked
}

// hearsEvery is how often a leader looks whether it is asked to hand over.
const hearsEvery = time.Second

func (t *Term) listen() {
	for nap(t.Context(), jitter(hearsEvery)) {
		ctx, cancel := t.e.c.within(patience)
		by, err := t.e.askedBy(ctx, t.Number())
		cancel()
		switch {
		case err != nil:
			t.e.c.log.Debug("sqllock: looking whether to hand over failed; trying again", "election", t.e.w.name, "err", err)
		case by != "":
			t.e.c.log.Info("sqllock: asked to hand over", "election", t.e.w.name, "term", t.Number(), "by", by)
			close(t.asked)
			return
		}
	}
}
