package sqllock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Quorum takes locks in several independent databases at once, and a lock is held as long as a majority of them says so: a
// minority may be down, slow or cut off, or be restarted without its data. It is the algorithm of Redlock (Antirez,
// https://redis.io/docs/latest/develop/use/patterns/distributed-locks/), with what that lacks: one fencing token
// (QuorumLock.Fence) that grows from each acquisition to the next whatever majorities answer, and a database that has lost its
// data gives no vote for as long as a lock may last that it has forgotten. The databases may be of different engines, and
// none knows of the others; they must share nothing that fails at once, so no two of them replicate from one another.
//
// QUORUM.md beside this file says what it guarantees, what it doesn't, and what it answers to Kleppmann's "How to do
// distributed locking" (2016). In short: at most one holder trusts its lock as long as the databases' clocks run at the right
// speed, none of a majority is set meanwhile, and no database comes back with old data; fences hold beyond that, where what
// the lock protects refuses those that are smaller than one it has seen. There is no Guard, since no transaction spans several
// databases: where the data lives in one database, a lock in that one (Client) is simpler and safer.
//
// All methods are safe for concurrent use. A Quorum has nothing to close: close the Clients, and after that all it does is an
// ErrClosed.
type Quorum struct {
	opts    QuorumOptions
	need    int // votes
	members []*member
	log     *slog.Logger
	began   time.Time

	mu  sync.Mutex
	ids map[*member]string // of the databases, as they answered last
}

// QuorumOptions of a Quorum. The zero value of each field is its default. All processes must make a quorum of the same
// databases, and with the same Name and MaxTTL: a database that takes part with others is refused with ErrInvalid.
type QuorumOptions struct {
	// Name tells quorums apart that a database takes part in. Default "quorum". To change the number of databases or
	// MaxTTL, stop all that uses the quorum for MaxTTL, and start it with another Name. Locks of one name are one lock in each
	// database, whatever the quorum.
	Name string

	// TTL of the locks whose acquisitions don't say otherwise (WithTTL). Default 15 seconds, or MaxTTL if that is less.
	TTL time.Duration

	// MaxTTL is the longest that may be asked for. A database's votes count only when it has taken part for that long, by its
	// own clock: one that is new, or has lost its data, may have to be waited for until what it has forgotten is over. So
	// the very first start of a quorum takes that long too, once. Default a minute.
	MaxTTL time.Duration
}

func (o *QuorumOptions) withDefaults() (QuorumOptions, error) {
	var full QuorumOptions
	if o != nil {
		full = *o
	}
	if full.Name == "" {
		full.Name = "quorum"
	}
	if full.MaxTTL == 0 {
		full.MaxTTL = time.Minute
	}
	if full.TTL == 0 {
		full.TTL = min(DefaultTTL, full.MaxTTL)
	}
	if err := CheckName(full.Name); err != nil {
		return full, fmt.Errorf("%w (the Quorum's)", err)
	}
	if full.MaxTTL < MinTTL || full.MaxTTL > MaxTTL {
		return full, invalid("MaxTTL of the Quorum is %s; it must be between %s and %s", full.MaxTTL, MinTTL, MaxTTL)
	}
	if full.TTL < MinTTL || full.TTL > full.MaxTTL {
		return full, invalid("TTL of the Quorum is %s; it must be between %s and its MaxTTL, which is %s",
			full.TTL, MinTTL, full.MaxTTL)
	}
	return full, nil
}

// NewQuorum makes a Quorum of the databases of these Clients: an odd number of them, three or more, no two on the same database,
// which it asks the databases themselves. Breaking that is an ErrInvalid, and so is a database that takes part in a quorum of
// that Name with another number of databases or MaxTTL. A minority may be unreachable; it is looked at when it answers, before
// its first vote counts. With a majority unreachable the error tells of each. It blocks until all have answered, for 5 seconds
// at most, or until ctx ends. The Clients stay the caller's to close.
//
// The very first start enrols the databases; from then on it takes MaxTTL until locks can be had.
func NewQuorum(ctx context.Context, clients []*Client, opts *QuorumOptions) (*Quorum, error) {
	full, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(clients) < 3 || len(clients)%2 == 0 {
		return nil, invalid("a Quorum of %d Clients; it must be an odd number, 3 at least: "+
			"one more doesn't help an odd number to outlive more failures, and two outlive none", len(clients))
	}
	q := &Quorum{opts: full, began: time.Now(), need: len(clients)/2 + 1, ids: make(map[*member]string)}
	for i, c := range clients {
		switch first := slices.Index(clients, c); {
		case c == nil:
			return nil, invalid("Client %d of the Quorum is nil", i+1)
		case first < i:
			return nil, invalid("Clients %d and %d of the Quorum are the same one; each must have a database of its own", first+1, i+1)
		case c.opts.WithoutTables:
			return nil, invalid("Client %d of the Quorum was made WithoutTables, and its locks need them: "+
				"run `sqllock-migrate up`, and make it without that option", i+1)
		}
		q.members = append(q.members, &member{q: q, c: c, number: i + 1})
	}
	q.log = clients[0].log
	if err := q.introduce(ctx); err != nil {
		return nil, err
	}
	return q, nil
}

// introduce enrols the databases that answer, and sees that they are different ones.
func (q *Quorum) introduce(ctx context.Context) error {
	brief, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	errs := make([]error, len(q.members))
	var group sync.WaitGroup
	for i, m := range q.members {
		group.Go(func() { errs[i] = m.standing(brief) })
	}
	group.Wait()
	why := &outvoted{name: q.opts.Name, need: q.need}
	for i, err := range errs {
		switch {
		case errors.Is(err, ErrInvalid) || errors.Is(err, ErrClosed):
			return err
		case err == nil || errors.Is(err, errYoung):
			why.votes++
		default:
			q.log.Warn("sqllock: a database of the quorum doesn't answer", "quorum", q.opts.Name, "database", i+1, "err", err)
			why.errs = append(why.errs, err)
		}
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("sqllock: making quorum %q was broken off: %w", q.opts.Name, ended(ctx))
	case why.votes < q.need:
		return fmt.Errorf("sqllock: making quorum %q: %d of its %d databases answer, and it needs %d: %w",
			q.opts.Name, why.votes, len(q.members), q.need, errors.Join(why.errs...))
	}
	return nil
}

// TryAcquire takes the lock if a majority of the databases gives it, and doesn't wait otherwise than for their answers, a fifth
// of the TTL at most; that those of a minority are late or never come makes no difference. Otherwise nothing stays taken, what
// was is given back in the background, and the error tells of each database that gave no vote why: ErrNotAcquired, mostly
// with a *HeldError, where another has a lock, also where several took some votes each at the same time, so that none has a
// majority; or where a database takes part only since a while, and for how long yet. Any other error means that too many
// databases failed. If ctx ends first, so does TryAcquire, with an error that is both ErrNotAcquired and ctx.Err(). After it
// returns, ctx means nothing to the lock.
//
// WithTTL, up to QuorumOptions.MaxTTL, WithNote and OnWait are the options that it takes. All others are an ErrInvalid: a
// database that has lost its data would have forgotten for how long they keep others from the lock.
func (q *Quorum) TryAcquire(ctx context.Context, name string, opts ...Option) (*QuorumLock, error) {
	w, err := q.wish(name, opts)
	if err != nil {
		return nil, err
	}
	return q.attempt(ctx, w, false)
}

// Acquire is TryAcquire again and again, with a pause of random length between, up to a second, until ctx ends: then the error
// is both ErrNotAcquired and ctx.Err(), and tells why the last try failed. It goes on while too many databases are down, and
// ends at once where trying again can't help (ErrInvalid, ErrUnsupported, ErrSchema or ErrClosed from too many of
// them). There is no order among those who wait.
func (q *Quorum) Acquire(ctx context.Context, name string, opts ...Option) (*QuorumLock, error) {
	w, err := q.wish(name, opts)
	if err != nil {
		return nil, err
	}
	var last error
	seen := make(map[*member]*HeldError)
	for pause, longest := firstPoll, maxPoll; ; pause = min(2*pause, longest) {
		lock, err := q.attempt(ctx, w, last != nil)
		why, ok := errors.AsType[*outvoted](err)
		if err == nil || ctx.Err() == nil && ok && why.hopeless(len(q.members)) {
			return lock, err
		}
		if ctx.Err() == nil && ok {
			before := len(seen)
			held := why.by(seen)
			if held != nil && w.onWait != nil {
				w.onWait(held)
			}
			if last, longest = err, maxPoll; held != nil && before > 0 { // it is passed around
				longest = busyPoll
			}
		}
		// Those who split the votes among them must not meet again.
		if nap(ctx, pause/4+rand.N(pause)) {
			continue
		}
		if last == nil {
			return nil, gaveUp(ctx, name, nil)
		}
		return nil, fmt.Errorf("%w; the last try: %w", gaveUp(ctx, name, nil), last)
	}
}

// wish is Client.wish for a vote.
func (q *Quorum) wish(name string, opts []Option) (wish, error) {
	w, err := wished(name, opts)
	if err != nil {
		return w, err
	}
	if w.session || w.shared || w.semaphore || w.fair || w.holdAtLeast != 0 || w.lockDelay != 0 || w.saysHolding {
		return w, invalid("Session, Shared, Permits, Fair, HoldAtLeast, LockDelay and Holding of lock %q don't go with a Quorum", name)
	}
	if !w.withTTL {
		w.ttl = q.opts.TTL
	}
	if w.ttl > q.opts.MaxTTL {
		return w, invalid("the TTL of lock %q is %s; the Quorum's MaxTTL is %s", name, w.ttl, q.opts.MaxTTL)
	}
	w.slot, w.use = slotQuorum, useQuorum
	return w, w.check()
}

// voteWithin is how long a vote may take: Redlock wants that to be small against the TTL.
func voteWithin(ttl time.Duration) time.Duration { return ttl / 5 }
