package sqllock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
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
type Client struct {
	store *store.Store
	opts  Options
	log   *slog.Logger

	proven        atomic.Bool // session locks were shown to work here
	clusterWrites atomic.Bool // other servers of a cluster write too: see dialect.Server

	mu     sync.Mutex // guards the field below; not held during a database call
	probed bool       // the database was probed, by New or before the first lease

	oneWriter   dialect.OneWriter // nil on engines that have several writers at a time
	leases      *leases
	queues      *localQueues
	expiry      *expiry.Watcher
	listener    *notify.Listener // nil if waiters poll
	readerSlots readerSlots
}

// New makes a [Client] for the database behind d. It tries out whether locks work there and refuses
// what can't work:
//
//   - [ErrSchema] if the tables are missing or of another version (run `sqllock-migrate own up`).
//   - [ErrUnsupported] if the server can't be used, for instance a read-only replica or a server
//     that is too old.
//   - [ErrInvalid] if an option is out of range, or if the connection pool is nil or too small.
//
// If others have locked the database, as another connection does that writes to SQLite's file, New
// waits until ctx ends. ctx bounds New alone, not the Client. Nil opts mean the defaults.
//
// The Client never closes the *sql.DB. Call [Client.Close] before you close it.
func New(ctx context.Context, d dialect.Dialect, opts *Options) (*Client, error) {
	if d == nil {
		return nil, fail.Invalid("the dialect is nil")
	}
	full, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		store: store.New(d), opts: full, log: full.Logger,
		queues: newLocalQueues(),
	}
	c.oneWriter, _ = d.(dialect.OneWriter)
	c.expiry = expiry.NewWatcher(c.store, c.log, request.IsMember)
	c.leases = newLeases(c)
	if !full.PollOnly {
		c.listener = notify.New(c.store, full.Holder, c.log)
	}
	look := c.probe
	if full.WithoutTables {
		full.ReapEvery, look = -1, c.competeForSession
	}
	if full.Unprobed {
		look = func(context.Context) error { return nil }
	}
	late := time.AfterFunc(store.OperationTimeout, func() {
		full.Logger.Warn("sqllock: the database has not answered yet; New waits for it until its ctx ends",
			"database", d.Name())
	})
	if err = c.ownTx(ctx, "probing the database", ""); err == nil {
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
	c.queues.open = c.store.Open()
	if full.ReapEvery > 0 {
		c.store.Spawn(c.reapForever)
	}
	return c, nil
}

// probeTries bounds how often a probe is repeated whose transaction was aborted.
const probeTries = 3

// probe returns an error if locks wouldn't work in this database.
func (c *Client) probe(ctx context.Context) error {
	server, err := c.store.Probe(ctx)
	// On a cluster, a statement of another member now and then aborts the probe's transaction.
	for tries := 1; err != nil && tries < probeTries && c.store.Classify(err) == dialect.ClassTransient &&
		store.Sleep(ctx, store.Jitter(store.FirstBackoff)); tries++ {
		server, err = c.store.Probe(ctx)
	}
	if err != nil {
		return c.failed("probing the "+c.store.Name()+" database", err)
	}
	want := c.store.SchemaVersion()
	if server.Versioned && (server.Several || server.Dirty || !server.Serves(want)) {
		return &SchemaError{
			Have: server.Schema, Want: want, CompatibleFrom: server.CompatibleFrom,
			Dirty: server.Dirty, Several: server.Several,
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.probed { // afterwards the flags below may be read concurrently
		c.probed = true
		if server.SingleRowOnly {
			c.store.SingleRowOnly()
			c.clusterWrites.Store(true)
		}
	}
	return nil
}

// probeDeferred probes the database if [Options.Unprobed] made [New] skip that.
func (c *Client) probeDeferred(ctx context.Context) error {
	c.mu.Lock()
	probed := c.probed
	c.mu.Unlock()
	if probed {
		return nil
	}
	return c.probe(ctx)
}

// Close releases everything that the Client holds, in one statement whatever the number of locks,
// and waits for the Client's work in the background. The contexts of its locks end with cause
// [ErrClosed].
//
// Close does not wait for functions that run under a lock ([Client.Do], once.Do, an
// Election's Run). End their ctx and wait for them first; otherwise other processes may start the
// same work while they still run.
//
// Close also works if ctx has ended. It blocks for a few seconds at most. An error means that the
// database could not be reached; the locks then stay taken until their leases expire. A second
// Close does nothing and returns nil. Close does not close the *sql.DB.
func (c *Client) Close(ctx context.Context) error {
	open, first := c.leases.shut()
	if !first {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), store.OperationTimeout)
	defer cancel()
	var refused error
	if len(open) > 0 {
		refused = c.ownTx(ctx, "releasing all locks, which stay taken until their leases run out", "")
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

// competeForSession repeats the test that precedes the first session lock: a pooler may have been
// put in between since.
func (c *Client) competeForSession(ctx context.Context) error {
	locker, err := c.sessionLocker()
	if err != nil {
		return err
	}
	c.proven.Store(false)
	_, err = c.store.Retry(ctx, func(ctx context.Context) error {
		session, err := c.provenSession(ctx, locker)
		if err == nil {
			err = session.Close()
		}
		return err
	})
	if err != nil {
		return c.failed("trying out session locks", err)
	}
	return nil
}

// failed returns the error for a call that the database refused or couldn't carry out.
func (c *Client) failed(what string, err error) error {
	class := c.store.Classify(err)
	switch class {
	case dialect.ClassNoSchema:
		return &SchemaError{Want: c.store.SchemaVersion(), Err: err}
	case dialect.ClassReadOnly:
		return fmt.Errorf("sqllock: %s: %w: it takes no writes (is it a replica?); connect to the primary: %w",
			what, ErrUnsupported, err)
	case dialect.ClassUnknown, dialect.ClassTransient, dialect.ClassPermanent: // the error is clear enough
	}
	if c.store.Ended() && errors.Is(err, context.Canceled) { // Close canceled it
		return fmt.Errorf("sqllock: %s: %w", what, ErrClosed)
	}
	if class != dialect.ClassTransient && errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, dialect.ErrNoConnection) {
		return fmt.Errorf("sqllock: %s: no answer from the database in time: %w", what, err)
	}
	return fmt.Errorf("sqllock: %s: %w", what, err)
}

// ownTx returns an error if a call would wait for an open transaction of the calling goroutine,
// where the engine can find that out. doing and name say what was asked, and on which lock.
func (c *Client) ownTx(ctx context.Context, doing, name string) error {
	if c.oneWriter == nil {
		return nil
	}
	err := c.oneWriter.OwnTx(ctx)
	switch {
	case err == nil:
		return nil
	case name == "":
		return fmt.Errorf("sqllock: %s: %w", doing, err)
	}
	return fmt.Errorf("sqllock: %s %q: %w", doing, name, err)
}
