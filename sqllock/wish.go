package sqllock

import (
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Option is a wish for one acquisition.
type Option func(*wish)

// wish is what one acquisition asks for.
type wish struct {
	name        string
	slot        int
	use         use
	session     bool
	shared      bool
	ttl         time.Duration // of the lease; for a session lock, how long its connection may be silent
	withTTL     bool
	note        string
	holdAtLeast time.Duration
	lockDelay   time.Duration
	onWait      func(*HeldError)
	fair        bool
	semaphore   bool
	permits     int     // of the semaphore that it wants one of
	holding     []*Lock // while it waits
	saysHolding bool    // else ctx says what is

	seat *seat            // its place in the database's queue, if it has one
	sent *dialect.Request // was asked for already, and the reply was lost: ask for the same again
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

// Shared takes the lock together with others who say so: many share it (readers), or one who doesn't say so has it alone (a
// writer). A writer that waits for readers keeps new ones out, and so doesn't starve; a reader that died is in its way until
// its lease has run out. Readers don't wait for each other; but to read again while one reads is to wait for a writer that has
// come between, and waits for the first reading to end: don't. A lease lock that is shared takes two statements, one of which
// writes; a writer, of a name that has ever had readers, one more. Each reader's fence is its own: only writers' fences can be
// compared. ErrUnsupported on Galera, where one server may not have seen yet what was written through another.
//
// With Session, and AcquireTx, it is ErrUnsupported on MySQL, MariaDB (for Session) and SQLite.
func Shared() Option { return func(w *wish) { w.shared = true } }

// Permits takes one of n permits: a semaphore, which at most n hold at a time, in all processes. Each permit is a lock with
// fences of its own (Lock.Slot says which), and a lock without Permits is the semaphore of one. n is from 1 to MaxPermits, and
// may be another from one call to the next: each caller keeps to his own, so with a smaller n nobody is sent away, those
// who hold a permit beyond it hold on, and while several n are in use the greatest counts. It goes with neither Session nor
// Shared. Where all permits are held, waiters poll on every engine.
//
// Give a semaphore a name of its own. One that has readers or a leader is an ErrInvalid, but only if the acquisition comes by
// permit 0; those of other permits don't see it.
func Permits(n int) Option { return func(w *wish) { w.permits, w.semaphore = n, true } }

// WithTTL holds the lock under a lease of that TTL, from MinTTL to MaxTTL. The locks of one TTL share a heartbeat.
func WithTTL(ttl time.Duration) Option { return func(w *wish) { w.ttl, w.withTTL = ttl, true } }

// WithNote says of the acquisition what people should see who ask about the lock: a build number, a URL.
func WithNote(note string) Option { return func(w *wish) { w.note = note } }

// HoldAtLeast keeps others from the lock for d from the acquisition on, even if it is released before: for scheduled jobs,
// where a fast run on one host must not be run again by a host whose clock is a little behind. That is also so of an
// acquisition whose caller had gone when it was granted.
func HoldAtLeast(d time.Duration) Option { return func(w *wish) { w.holdAtLeast = d } }

// LockDelay keeps others from the lock for d after its lease ran out, if it did; after a release it means nothing.
// It is for resources that can't check a fence: what the failed holder had under way gets time to end
// (Burrows, The Chubby lock service, 2006, section 2.4).
func LockDelay(d time.Duration) Option { return func(w *wish) { w.lockDelay = d } }

// OnWait lets Acquire say for whom it waits: f is called when the lock is found held, and again whenever it is found held
// by another acquisition, one call at a time. Acquire looks on only after f has returned. Where several goroutines of one
// process want the lock, only the first in their line hears of it. TryAcquire answers at once, and never calls f.
func OnWait(f func(*HeldError)) Option { return func(w *wish) { w.onWait = f } }

// Fair stands in a queue in the database, and overtakes nobody in it: first come, first served across processes, for those
// who say so. Who doesn't may take the lock whenever it is free, so let all who want it say Fair. A waiter that dies holds the
// others up until its lease has run out. TryAcquire with it is refused while somebody waits. It doesn't go with Session or
// AcquireTx. It costs a statement more where the lock is free, and two where it isn't.
func Fair() Option { return func(w *wish) { w.fair = true } }

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
	if w.withTTL || w.note != "" || w.holdAtLeast != 0 || w.lockDelay != 0 || w.fair || w.semaphore || w.saysHolding {
		return invalid("WithTTL, WithNote, HoldAtLeast, LockDelay, Fair, Permits and Holding of lock %q are for lease locks and "+
			"don't go with %s", w.name, kind)
	}
	return CheckName(w.name)
}

// term is what the lock has in common with others under the same lease.
func (w wish) term() term { return term{ttl: w.ttl, session: w.session} }

func (w wish) place() place {
	p := w.term().place(w.key())
	if w.semaphore {
		p.permits = w.permits
	}
	return p
}

func (w wish) key() dialect.Key { return dialect.Key{Name: w.name, Slot: w.slot} }

// queue is where those wait in the database who want the same: all permits of a semaphore have one queue, and readers
// wait among the writers.
func (w wish) queue() dialect.Key {
	switch {
	case w.semaphore:
		return dialect.Key{Name: w.name}
	case w.shared:
		return dialect.Key{Name: w.name, Slot: slotWriter}
	}
	return w.key()
}

// accepts tells whether the lock of that row is what is wanted.
func (w wish) accepts(key dialect.Key) bool {
	switch {
	case w.semaphore:
		return key.Name == w.name && key.Slot < w.permits
	case w.shared:
		return false
	}
	return key == w.key()
}

// polls tells that nobody can tell the waiter when to come: what is free next may be another row than the one he waits at.
func (w wish) polls() bool { return w.session || w.semaphore || w.shared }

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
	if w.semaphore && (w.permits < 1 || w.permits > MaxPermits) {
		return invalid("Permits(%d) of %q; it must be between 1 and %d", w.permits, w.name, MaxPermits)
	}
	if w.shared && (w.semaphore || w.holdAtLeast != 0 || w.lockDelay != 0) {
		return invalid("Permits, HoldAtLeast and LockDelay of %q don't go with Shared()", w.name)
	}
	if w.holdAtLeast < 0 || w.holdAtLeast > MaxHold {
		return invalid("HoldAtLeast(%s); it must be between 0 and %s", w.holdAtLeast, MaxHold)
	}
	if w.lockDelay < 0 || w.lockDelay > MaxHold {
		return invalid("LockDelay(%s); it must be between 0 and %s", w.lockDelay, MaxHold)
	}
	return w.checkHolding()
}
