package sqllock

import (
	"fmt"
	"time"
)

// Option is a wish for one acquisition.
type Option func(*wish)

// wish is what one acquisition asks for.
type wish struct {
	name        string
	session     bool
	shared      bool
	ttl         time.Duration // of the lease; for a session lock, how long its connection may be silent
	withTTL     bool
	note        string
	holdAtLeast time.Duration
	lockDelay   time.Duration
	onWait      func(*HeldError)
}

// Session lets the server hold the lock for a connection: an advisory lock on PostgreSQL, GET_LOCK on MySQL and
// MariaDB, sp_getapplock on SQL Server. It needs no table, and the server lets it go as soon as the connection ends,
// as when the process dies. What it lacks: a fencing token, Guard, and the way through a transaction pooler, to
// another server in a failover, or from one Galera node to the others; where it can't be trusted it is refused with
// ErrUnsupported, as on SQLite. All session locks of a Client share a connection of its own, outside the application's
// pool; Options.KeepAlive bounds how long its end may go unnoticed. Session locks are not seen by Locks.
//
// Session locks and lease locks of one name have nothing to do with each other.
func Session() Option { return func(w *wish) { w.session = true } }

// Shared takes the lock together with others who say so: many share it, or one has it alone. It goes with Session and
// with AcquireTx; ErrUnsupported on MySQL, MariaDB (for Session) and SQLite.
func Shared() Option { return func(w *wish) { w.shared = true } }

// WithTTL holds the lock under a lease of that TTL, from MinTTL to MaxTTL. The locks of one TTL share a heartbeat.
func WithTTL(ttl time.Duration) Option { return func(w *wish) { w.ttl, w.withTTL = ttl, true } }

// WithNote says of the acquisition what people should see who ask about the lock: a build number, a URL.
func WithNote(note string) Option { return func(w *wish) { w.note = note } }

// HoldAtLeast keeps others from the lock for d from now, even if it is released before: for scheduled jobs, where
// a fast run on one host must not be run again by a host whose clock is a little behind.
func HoldAtLeast(d time.Duration) Option { return func(w *wish) { w.holdAtLeast = d } }

// LockDelay keeps others from the lock for d after its lease ran out, if it did; after a release it means nothing.
// It is for resources that can't check a fence: what the failed holder had under way gets time to end
// (Burrows, The Chubby lock service, 2006, section 2.4).
func LockDelay(d time.Duration) Option { return func(w *wish) { w.lockDelay = d } }

// OnWait lets Acquire say for whom it waits: f is called when the lock is found held, and again whenever it is found held
// by another acquisition, one call at a time. Acquire looks on only after f has returned. Where several goroutines of one
// process want the lock, only the first in their line hears of it. TryAcquire answers at once, and never calls f.
func OnWait(f func(*HeldError)) Option { return func(w *wish) { w.onWait = f } }

func (c *Client) wish(name string, opts []Option) (w wish, err error) {
	if w, err = wished(name, opts); err != nil {
		return w, err
	}
	if w.session {
		if err := w.checkServer("Session()"); err != nil {
			return w, err
		}
		w.ttl = c.opts.KeepAlive
		return w, nil
	}
	if w.shared {
		return w, invalid("Shared() of lock %q goes with Session(), or AcquireTx", name)
	}
	if c.opts.WithoutTables {
		return w, fmt.Errorf("sqllock: %w: lock %q: this Client was made WithoutTables, so Session() locks are all it can take; "+
			"for lease locks run `sqllock-migrate up`, and make it without that option", ErrUnsupported, name)
	}
	if !w.withTTL {
		w.ttl = c.opts.TTL
	}
	return w, w.check()
}

// wished is what the options say.
func wished(name string, opts []Option) (wish, error) {
	w := wish{name: name}
	for i, opt := range opts {
		if opt == nil {
			return w, invalid("option %d of lock %q is nil", i+1, name)
		}
		opt(&w)
	}
	return w, nil
}

// checkServer checks a wish for a lock that the server holds itself.
func (w wish) checkServer(kind string) error {
	if w.withTTL || w.note != "" || w.holdAtLeast != 0 || w.lockDelay != 0 {
		return invalid("WithTTL, WithNote, HoldAtLeast and LockDelay of lock %q are for lease locks and don't go with %s",
			w.name, kind)
	}
	return CheckName(w.name)
}

// term is what the lock has in common with others under the same lease.
func (w wish) term() term { return term{ttl: w.ttl, session: w.session} }

func (w wish) place() place { return w.term().place(w.name) }

// maxPoll bounds the pause between two polls. To poll for a session lock writes nothing, and nothing tells when the
// holder's connection will end.
func (w wish) maxPoll() time.Duration {
	if w.session {
		return maxPoll / 20
	}
	return maxPoll
}

func (w wish) check() error {
	if err := CheckName(w.name); err != nil {
		return err
	}
	if err := checkTTL(w.ttl); err != nil {
		return err
	}
	if w.note != "" {
		if err := checkText("note", w.note); err != nil {
			return err
		}
	}
	if w.holdAtLeast < 0 || w.holdAtLeast > MaxHold {
		return invalid("HoldAtLeast(%s); it must be between 0 and %s", w.holdAtLeast, MaxHold)
	}
	if w.lockDelay < 0 || w.lockDelay > MaxHold {
		return invalid("LockDelay(%s); it must be between 0 and %s", w.lockDelay, MaxHold)
	}
	return nil
}
