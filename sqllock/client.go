package sqllock

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Client takes locks in one database. A program makes one and shares it: all methods are safe for concurrent use.
type Client struct {
	dialect dialect.Dialect
	opts    Options
	log     *slog.Logger

	open    context.Context // ends when Close begins
	shut    context.CancelFunc
	ctx     context.Context // ends with what Close still waits for
	cancel  context.CancelFunc
	work    sync.WaitGroup
	proven  atomic.Bool // session locks work here
	lastEra atomic.Pointer[era]

	acquires gather[dialect.Request, dialect.Grant]
	releases gather[dialect.Claim, bool]

	mu     sync.Mutex // guards what follows; never held while the database is asked
	closed bool
	probed bool // the database, by New or before the first lease
	leases map[term]*tenure
	lines  map[place]*line
	busy   map[place]time.Time // where it was waited for lately

	ear    *ear
	stalls stalls
	alone  atomic.Bool // other servers of a cluster write too: see dialect.Server
}

// New makes a Client on the database behind d. It asks the database, by trying, whether locks will work there, and
// refuses at once what can't: ErrSchema (tables missing or of another version; run `sqllock-migrate up`),
// ErrUnsupported (a read-only replica, a server too old), ErrInvalid (an option out of range, a nil or too small
// pool). Nil opts are the defaults. ctx bounds New alone. The Client never closes the *sql.DB; Close the Client
// before it.
func New(ctx context.Context, d dialect.Dialect, opts *Options) (*Client, error) {
	if d == nil {
		return nil, invalid("the dialect is nil")
	}
	full, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		dialect: d, opts: full, log: full.Logger,
		leases: make(map[term]*tenure), lines: make(map[place]*line), busy: make(map[place]time.Time),
	}
	c.gather()
	c.ear = newEar(c)
	look := c.probe
	if full.WithoutTables {
		full.ReapEvery, look = -1, c.competeForSession
	}
	if full.Unprobed {
		look = func(context.Context) error { return nil }
	}
	if err := look(ctx); err != nil {
		if closer, ok := d.(io.Closer); ok {
			err = errors.Join(err, closer.Close())
		}
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.open, c.shut = context.WithCancel(c.ctx)
	if full.ReapEvery > 0 {
		c.spawn(c.reapForever)
	}
	return c, nil
}

// gather sets up group commit. Acquires and releases each have a line, so two connections serve any number of callers.
func (c *Client) gather() {
	begin := func() context.Context { return c.operation(context.Background()) }
	alone := func(err error) bool { return c.dialect.Classify(err) == dialect.Permanent }
	c.acquires.ask, c.acquires.begin, c.acquires.alone = c.dialect.Acquire, begin, alone
	c.acquires.spawn, c.releases.spawn = c.spawn, c.spawn
	c.acquires.key = func(r dialect.Request) dialect.Key { return r.Key }
	c.releases.ask, c.releases.begin, c.releases.alone = c.dialect.Release, begin, alone
	c.releases.key = func(claim dialect.Claim) dialect.Key { return claim.Key }
}

// release lets go of a lock. Among others it may have been passed over because a Guard was on it, which looks as if it
// were another's: by itself it waits for that.
func (c *Client) release(ctx context.Context, claim dialect.Claim) (ours bool, err error) {
	if ours, err = c.releases.do(ctx, claim); err != nil || ours {
		return ours, err
	}
	return one(c.dialect.Release(ctx, []dialect.Claim{claim}))
}

// probe refuses a database in which locks wouldn't work.
func (c *Client) probe(ctx context.Context) error {
	server, err := c.dialect.Probe(ctx)
	if err != nil {
		return c.failed("looking at the "+c.dialect.Name()+" database", err)
	}
	want := c.dialect.SchemaVersion()
	if server.Versioned && (server.Dirty || server.Schema != want) {
		return &SchemaError{Have: server.Schema, Want: want, Dirty: server.Dirty}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.probed { // else there may be readers
		c.probed, c.acquires.never, c.releases.never = true, server.Alone, server.Alone
		c.alone.Store(server.Alone)
	}
	return nil
}

// probeLate makes up for what New was told to leave out.
func (c *Client) probeLate(ctx context.Context) error {
	c.mu.Lock()
	probed := c.probed
	c.mu.Unlock()
	if probed {
		return nil
	}
	return c.probe(ctx)
}

// spawn runs f in the background until the Client is closed. False: it is closed, and f was not run.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Go(f)
	return true
}

// inPlace is spawn in the caller's own goroutine.
func (c *Client) inPlace(f func()) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	c.work.Add(1)
	c.mu.Unlock()
	defer c.work.Done()
	f()
	return true
}

// Close lets go of all that the Client holds, one statement whatever the number of locks, and waits for what it
// has under way in the background; their contexts end with ErrClosed. It doesn't wait for those who are at work under
// a lock (Do, Once, Election.Run): end their ctx and wait for them before, or others work beside them. It works though
// ctx has ended, and takes a few seconds at most: an error says that the database couldn't be reached, and the locks
// stay taken until their leases run out. A second Close does nothing. It doesn't close the *sql.DB.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.shut()
	leases := c.leases
	c.leases = nil
	c.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := c.letGo(ctx, leases)
	stop := context.AfterFunc(ctx, c.cancel)
	c.work.Wait()
	stop()
	c.cancel()
	if closer, ok := c.dialect.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	return err
}

// letGo ends all leases. A lock with a LockDelay is released first, one by one: its holder hasn't failed.
func (c *Client) letGo(ctx context.Context, leases map[term]*tenure) error {
	var ids []string
	var delayed []dialect.Claim
	for _, t := range leases {
		lease := t.settled()
		if lease == nil {
			continue
		}
		locks := lease.end(func(string) error { return errClosed })
		if lease.session {
			lease.anchor.abandon()
			continue
		}
		ids = append(ids, lease.id)
		for _, lock := range locks {
			if lock.delayed {
				delayed = append(delayed, lock.claim)
			}
		}
	}
	err := c.letGoDelayed(ctx, delayed)
	_, left := c.retry(ctx, func(ctx context.Context) error { return c.dialect.DeleteLeases(ctx, ids) })
	if left != nil {
		err = errors.Join(err, c.failed("letting go of all locks; they stay taken until their leases run out", left))
	}
	return err
}

// letGoDelayed takes half of the time at most: one of them may be guarded yet, and the other locks don't wait for that.
func (c *Client) letGoDelayed(ctx context.Context, claims []dialect.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	_, err := c.retry(ctx, func(ctx context.Context) error { return c.releaseAll(ctx, claims) })
	if err != nil {
		return c.failed("letting go of locks with a LockDelay, which bars them now", err)
	}
	return nil
}

// releaseAll lets go of locks, and waits for the transactions that those have which are guarded.
func (c *Client) releaseAll(ctx context.Context, claims []dialect.Claim) error {
	ours, err := c.dialect.Release(ctx, claims)
	for i := 0; err == nil && len(claims) > 1 && i < len(claims); i++ {
		if !ours[i] { // another's, or passed over because of a Guard: see release
			_, err = c.dialect.Release(ctx, claims[i:i+1])
		}
	}
	return err
}
