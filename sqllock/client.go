package sqllock

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/expiry"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/notify"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Client takes locks in one database. A program makes one with [New] and shares it. Its methods are
// safe for concurrent use.
type Client struct{ *core }

// core is what the parts of a Client share. Each part has the methods for one task:
//
//   - acquirer acquires locks: it decides whether a request waits, and when it is tried.
//   - leaseBackend and sessionBackend carry out one try, under a lease or a session.
//   - flags reads the flags by which the readers and the writer of an RWLock see each other.
//   - lister reads who holds which lock.
//   - reaper removes what has expired.
//   - counters counts what the others do.
type core struct {
	store       *database
	opts        Options
	log         *slog.Logger
	prober      prober
	sessions    sessions
	leases      *leases
	queues      *localQueues
	expiry      *expiry.Watcher
	listener    *notify.Listener // nil if waiters poll
	readerSlots readerSlots
	counts      counters
	tracers     *tracers // nil if there is no tracer
}

// New makes a [Client] for the database behind d. It tries whether locks work there, and returns an
// error if they don't:
//
//   - [ErrSchema] if the tables are missing or of a version that this program can't use (run
//     `sqllock-migrate own up`).
//   - [ErrUnsupported] if the server can't be used, for instance a read-only replica or a server
//     that is too old.
//   - [ErrInvalid] if an option is out of range, or if the connection pool is nil or too small.
//
// If another connection has locked the whole database, as a writer of an SQLite file does, New
// waits until ctx ends. ctx bounds New alone, not the Client. opts may be nil, which means the
// defaults.
//
// The Client never closes the *sql.DB. Call [Client.Close] before you close the *sql.DB.
func New(ctx context.Context, d dialect.Dialect, opts *Options) (*Client, error) {
	if d == nil {
		return nil, fail.Invalid("the dialect is nil")
	}
	full, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &core{store: newDatabase(d), opts: full, log: full.Logger, queues: newLocalQueues()}
	if c.tracers, err = newTracers(full.Tracer); err != nil {
		return nil, err
	}
	c.expiry = expiry.NewWatcher(c.store.Store, c.log, request.IsMember)
	c.leases = newLeases(c)
	c.prober.store = c.store
	c.sessions.store, c.sessions.options = c.store, dialect.SessionOptions{Holder: full.Holder, Idle: full.KeepAlive}
	if !full.PollOnly {
		c.listener = notify.New(c.store.Store, full.Holder, c.log)
	}
	look := c.prober.probe
	if full.WithoutTables {
		full.ReapEvery, look = -1, c.sessions.compete
	}
	if full.Unprobed {
		look = func(context.Context) error { return nil }
	}
	if full.WaitForDatabase {
		once := look
		look = func(ctx context.Context) error { return c.store.awaited(ctx, once, c.log) }
	}
	late := time.AfterFunc(store.OperationTimeout, func() {
		full.Logger.Warn("sqllock: the database has not answered yet; New waits for it until its ctx ends",
			"database", d.Name())
	})
	if err = c.store.ownTx(ctx, "probing the database", ""); err == nil {
		err = look(ctx)
	}
	late.Stop()
	if err != nil {
		if closer, ok := d.(io.Closer); ok {
			err = errors.Join(err, closer.Close())
		}
		return nil, err
	}
	c.store.Start(ctx)
	if !full.Unprobed {
		c.store.Answered(time.Now())
	}
	c.queues.open = c.store.Open()
	if full.ReapEvery > 0 {
		c.store.Spawn(reaper{c}.runForever)
	}
	return &Client{c}, nil
}

// prober probes the database once.
type prober struct {
	store *database

	mu     sync.Mutex // guards the field below; not held during a database call
	probed bool       // the database was probed, by New or before the first lease
}

// probeTries bounds how often a probe is tried if its transaction is aborted.
const probeTries = 3

// probe returns an error if locks wouldn't work in this database.
func (p *prober) probe(ctx context.Context) error {
	server, err := p.store.Probe(ctx)
	// On a cluster, a statement of another member now and then aborts the probe's transaction.
	for tries := 1; err != nil && tries < probeTries && p.store.Classify(err) == dialect.ClassTransient &&
		store.Sleep(ctx, store.Jitter(store.FirstBackoff)); tries++ {
		server, err = p.store.Probe(ctx)
	}
	if err != nil {
		return p.store.failed("probing the "+p.store.Name()+" database", err)
	}
	want := p.store.SchemaVersion()
	if server.Versioned && (server.Several || server.Dirty || !server.Serves(want)) {
		return &SchemaError{
			Have: server.Schema, Want: want, CompatibleFrom: server.CompatibleFrom,
			Dirty: server.Dirty, Several: server.Several,
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.store.Proven()
	if !p.probed { // afterwards the flags below may be read concurrently
		p.probed = true
		if server.SingleRowOnly {
			p.store.SingleRowOnly()
			p.store.clusterWrites.Store(true)
		}
	}
	return nil
}

// deferred probes the database if [Options.Unprobed] made [New] skip that.
func (p *prober) deferred(ctx context.Context) error {
	p.mu.Lock()
	probed := p.probed
	p.mu.Unlock()
	if probed {
		return nil
	}
	return p.probe(ctx)
}

// Close releases everything that the Client holds, and waits for the Client's work in the
// background. It deletes the Client's leases, so the number of locks does not matter. The contexts
// of its locks end with cause [ErrClosed].
//
// Close does not wait for functions that run under a lock ([Client.Do], once.Do, an
// Election's Run). End their ctx and wait for them first; otherwise other processes may start the
// same work while they still run.
//
// Close also works if ctx has ended. It blocks for a few seconds at most. An error usually means
// that the database could not be reached; the locks then stay taken until their leases expire. A
// second Close does nothing and returns nil. Close does not close the *sql.DB.
func (c *Client) Close(ctx context.Context) error {
	open, first := c.leases.shut()
	if !first {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), store.OperationTimeout)
	defer cancel()
	var refused error
	if len(open) > 0 {
		refused = c.store.ownTx(ctx, "releasing all locks, which stay taken until their leases run out", "")
		if refused != nil {
			cancel()
		}
	}
	err := c.leases.end(ctx, open)
	if refused != nil {
		err = refused
	}
	c.store.Wait(ctx)
	if closer, ok := c.store.Dialect.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	return err
}
