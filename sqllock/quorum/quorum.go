package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/recipe"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Quorum takes locks in several independent databases at once. A lock is held as long as a majority
// of the databases says so, so a minority may be down, slow or cut off, or be restarted without its
// data.
//
// A Quorum is the Redlock algorithm (Antirez,
// https://redis.io/docs/latest/develop/use/patterns/distributed-locks/) with two additions. There
// is one fencing token ([Lock.Fence]), which grows from each acquisition to the next, whichever
// majorities answer. And a database that has lost its data gives no vote until every lock that it
// may have forgotten is over. The databases may be of different engines and do not know of each
// other. They must share nothing that can fail at once, so no two of them may replicate from one
// another.
//
// The file QUORUM.md in this package's folder says what a Quorum guarantees and what it doesn't,
// and answers Kleppmann's "How to do distributed locking" (2016). In short, at most one holder
// trusts its lock as long as the databases' clocks run at the right speed, no clock of the holder's
// majority is set ahead meanwhile, and no database comes back with old data. Fences protect beyond
// that, if the resource refuses fences that are smaller than one it has seen. There is no Guard,
// because no transaction spans several databases. If the protected data lives in one database, a
// lock in that database ([sqllock.Client]) is simpler and safer.
//
// Its methods are safe for concurrent use. A Quorum has nothing to close: close the Clients. After
// that, its methods return [sqllock.ErrClosed].
type Quorum struct {
	opts    Options
	need    int // the number of votes of a majority
	members []*member
	log     *slog.Logger
	began   time.Time

	mu  sync.Mutex
	ids map[*member]string // the ids of the databases, as last read
}

// Options are the options of a [Quorum]. The zero value of each field is its default. All
// processes must use the same databases, the same Name and the same MaxTTL. A database that already
// takes part in a quorum of that Name with another number of databases or another MaxTTL is refused
// with [sqllock.ErrInvalid].
type Options struct {
	// Name distinguishes the quorums that a database takes part in. The default is "quorum". To
	// change the number of databases or MaxTTL, stop everything that uses the quorum for MaxTTL and
	// start it with another Name. Quorums of different Names don't separate locks: in one database,
	// the votes for locks of one name exclude each other, whatever the quorum.
	Name string

	// TTL of the locks, unless an acquisition says otherwise ([sqllock.WithTTL]). The default is 15
	// seconds, or MaxTTL if that is less.
	TTL time.Duration

	// MaxTTL is the longest TTL that an acquisition may ask for. A database's votes count only
	// after it has taken part for that long, by its own clock: a database that is new or has lost
	// its data must wait until all that it may have forgotten is over. So the very first start of a
	// quorum also takes that long, once. The default is a minute.
	MaxTTL time.Duration

	// SharedServers accepts databases that are seen to depend on the same server, cluster or
	// replication. A quorum of such databases does not survive the failure of what they share. It
	// is for tests and development.
	SharedServers bool
}

func (o *Options) withDefaults() (Options, error) {
	var full Options
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
		full.TTL = min(sqllock.DefaultTTL, full.MaxTTL)
	}
	if err := sqllock.CheckName(full.Name); err != nil {
		return full, fmt.Errorf("%w (the Quorum's)", err)
	}
	if full.MaxTTL < sqllock.MinTTL || full.MaxTTL > sqllock.MaxTTL {
		return full, fail.Invalid("MaxTTL of the Quorum is %s; it must be between %s and %s",
			full.MaxTTL, sqllock.MinTTL, sqllock.MaxTTL)
	}
	if full.TTL < sqllock.MinTTL || full.TTL > full.MaxTTL {
		return full, fail.Invalid("TTL of the Quorum is %s; it must be between %s and its MaxTTL, which is %s",
			full.TTL, sqllock.MinTTL, full.MaxTTL)
	}
	return full, nil
}

// Option is an option of [Quorum.Acquire] and [Quorum.TryAcquire]: [sqllock.WithTTL],
// [sqllock.WithNote] or [sqllock.OnWait].
type Option interface{ request.Quorum }

// New makes a [Quorum] of the databases of these Clients. It returns [sqllock.ErrInvalid] in these
// cases:
//
//   - The number of Clients is even or less than three.
//   - Two of the databases are the same one or are on the same server. New asks the databases
//     themselves. A replica is noticed on PostgreSQL, and on MySQL if the account may see it.
//     SQLite files on one disk are not noticed.
//   - A database takes part in a quorum of that Name with another number of databases or another
//     MaxTTL.
//
// All of that is checked before any database is registered, so a New that fails in this way has
// registered none. A minority of the databases may be unreachable; such a database is checked when
// it answers, before its first vote counts. If a majority is unreachable, the error describes each
// of them.
//
// New blocks until all databases have answered or ctx ends, but waits at most 5 seconds for a
// database that does not answer. The caller still has to close the Clients.
//
// The very first start registers the databases. Locks can be acquired when MaxTTL has passed since
// then.
func New(ctx context.Context, clients []*sqllock.Client, opts *Options) (*Quorum, error) {
	full, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(clients) < 3 || len(clients)%2 == 0 {
		return nil, fail.Invalid("a Quorum of %d Clients; it must be an odd number, 3 at least: "+
			"one more doesn't help an odd number to outlive more failures, and two outlive none", len(clients))
	}
	q := &Quorum{opts: full, began: time.Now(), need: len(clients)/2 + 1, ids: make(map[*member]string)}
	for i, c := range clients {
		switch first := slices.Index(clients, c); {
		case c == nil:
			return nil, fail.Invalid("Client %d of the Quorum is nil", i+1)
		case first < i:
			return nil, fail.Invalid("Clients %d and %d of the Quorum are the same one; "+
				"each must have its own database",
				first+1, i+1)
		}
		m := &member{q: q, c: recipe.Of[*sqllock.Lock](c), number: i + 1}
		if err := m.c.Check(&request.Request{Name: full.Name, Slot: request.SlotQuorum, TTL: full.TTL}); err != nil {
			return nil, fail.Invalid("Client %d of the Quorum: %v", i+1, err)
		}
		q.members = append(q.members, m)
	}
	q.log = q.members[0].c.Log()
	if err := q.registerMembers(ctx); err != nil {
		return nil, err
	}
	return q, nil
}

// registerMembers registers the databases that answer, after it has checked that they are distinct.
func (q *Quorum) registerMembers(ctx context.Context) error {
	errs, err := q.checkDistinct(ctx)
	if err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, store.OperationTimeout)
	defer cancel()
	q.each(func(i int, m *member) {
		if errs[i] == nil {
			errs[i] = m.checkEligible(brief)
		}
	})
	why := &quorumError{}
	for i, err := range errs {
		switch {
		case errors.Is(err, sqllock.ErrInvalid) || errors.Is(err, sqllock.ErrClosed):
			return err
		case err == nil || errors.Is(err, errYoung):
			why.votes++
		default:
			q.log.Warn("sqllock: a database of the quorum doesn't answer",
				"quorum", q.opts.Name, "database", i+1, "err", err)
			why.errs = append(why.errs, err)
		}
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("sqllock: making quorum %q was interrupted: %w", q.opts.Name, fail.Ended(ctx))
	case why.votes < q.need:
		return fmt.Errorf("sqllock: making quorum %q: %d of its %d databases answer, and it needs %d: %w",
			q.opts.Name, why.votes, len(q.members), q.need, errors.Join(why.errs...))
	}
	return nil
}

// TryAcquire takes the lock if a majority of the databases votes for it. It waits for nothing but
// their answers, for a fifth of the TTL at most. It does not matter if a minority answers late or
// never. ctx does not bound the lock: canceling it later does not release the lock.
//
// On an error nothing stays taken: votes that were given are released in the background. The error
// says of each database without a vote why it gave none. It is an [sqllock.ErrNotAcquired] in these
// cases:
//
//   - Another holds the lock. The error is then usually also a [*sqllock.HeldError].
//   - Several callers took some votes each at the same time, so that none has a majority.
//   - A database has taken part for too short a time; the error says for how long its votes will
//     not count yet.
//   - ctx ended first. The error is then also ctx.Err().
//
// Any other error means that too many databases failed.
//
// The options are [sqllock.WithTTL], up to [Options].MaxTTL, [sqllock.WithNote] and
// [sqllock.OnWait]. There is no [sqllock.HoldAtLeast], because a database that lost its data would
// have forgotten for how long it has to keep others from the lock.
func (q *Quorum) TryAcquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	req, err := q.request(name, opts)
	if err != nil {
		return nil, err
	}
	return q.attempt(ctx, req, false)
}

// The pauses between the tries of Acquire grow from the first to the greatest, and no further than
// to busyPause if the lock changes hands often.
const (
	firstPause = 20 * time.Millisecond
	busyPause  = 100 * time.Millisecond
	maxPause   = time.Second
)

// Acquire calls [Quorum.TryAcquire] repeatedly until it succeeds or ctx ends, with pauses of random
// length of up to a second. If ctx ends first, the error is both [sqllock.ErrNotAcquired] and
// ctx.Err(), and says why the last try failed. Acquire goes on while too many databases are down.
// It returns at once if trying again can't help, because too many databases return
// [sqllock.ErrInvalid], [sqllock.ErrUnsupported], [sqllock.ErrSchema] or [sqllock.ErrClosed].
// Waiters are served in no particular order.
func (q *Quorum) Acquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	req, err := q.request(name, opts)
	if err != nil {
		return nil, err
	}
	var last error
	seen := make(map[*member]*sqllock.HeldError)
	for backoff, longest := firstPause, maxPause; ; backoff = min(2*backoff, longest) {
		lock, err := q.attempt(ctx, req, last != nil)
		why, ok := errors.AsType[*quorumError](err)
		if err == nil || ctx.Err() == nil && ok && why.permanent(len(q.members)) {
			return lock, err
		}
		if ctx.Err() == nil && ok {
			before := len(seen)
			held := why.by(seen)
			if held != nil && req.OnWait != nil {
				req.OnWait(held)
			}
			if last, longest = err, maxPause; held != nil && before > 0 { // the lock changes hands often
				longest = busyPause
			}
		}
		// The pauses are random, so that callers that split the votes between them do not collide
		// again.
		if store.Sleep(ctx, backoff/4+rand.N(backoff)) {
			continue
		}
		if last == nil {
			return nil, q.gaveUp(ctx, name)
		}
		return nil, fmt.Errorf("%w; the last try: %w", q.gaveUp(ctx, name), last)
	}
}

// request returns the request for a vote.
func (q *Quorum) request(name string, opts []Option) (request.Request, error) {
	req := request.Request{Name: name, Slot: request.SlotQuorum, TTL: q.opts.TTL}
	if err := request.Apply(&req, opts, Option.ApplyQuorum); err != nil {
		return req, err
	}
	if req.TTL > q.opts.MaxTTL {
		return req, fail.Invalid("the TTL of lock %q is %s; the Quorum's MaxTTL is %s", name, req.TTL, q.opts.MaxTTL)
	}
	err := req.Check()
	return req, err
}

func (q *Quorum) gaveUp(ctx context.Context, name string) error {
	return q.members[0].c.GaveUp(ctx, name)
}

// voteWithin returns how long a vote may take. Redlock wants that to be small compared to the TTL.
func voteWithin(ttl time.Duration) time.Duration { return ttl / 5 }
