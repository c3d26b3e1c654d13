package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// Holder is a holder of the lock, as it was when the lock was read.
type Holder struct {
	Kind      Kind          // Session or Lease
	Holder    string        // its name; for a session also what the server knows of it; empty if unknown
	Note      string        // its note
	Since     time.Time     // when it took the Lease, or when the Session connected; zero if unknown
	Fence     int64         // the fence of a Lease, which identifies this acquisition
	Remaining time.Duration // time until the Lease expires, unless its holder renews it
	Dead      bool          // whether the Lease has expired, so that the next process to try gets the lock

	// Unseen is the reason why it can't be determined whether a lock of this Kind is held. All
	// fields but Kind are empty then. Unseen is set for a Session behind a pooler that shares
	// sessions, and on a replica, where the connection may have reached another server. For a Lease
	// (if a privilege is missing, for example) Unseen is set only if a Session holds the lock;
	// otherwise [ReadHolder] returns an error.
	Unseen error
}

// ReadHolder returns the holders of the lock, of both kinds unless Options.Kind is one of them.
// Usually there is none or one; there are two if the processes that migrate don't agree on the
// kind.
//
// ReadHolder does not wait for the lock. It waits for the database for Options.Timeout at most. For
// a session lock it tries to take the lock and releases it at once, so it also finds a holder that
// the database doesn't show. If it can't determine the holder it returns an error or sets
// [Holder.Unseen].
func ReadHolder(ctx context.Context, d dialect.Dialect, options *Options) ([]Holder, error) {
	o, err := withDefaults(options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	either := o.Kind == Auto || o.Kind == None
	var holders []Holder
	var failed error // the error for leases
	for _, kind := range []Kind{Lease, Session} {
		if !either && o.Kind != kind {
			continue
		}
		holder, err := o.readHolder(ctx, d, kind)
		switch {
		case err != nil && either && nobodyHas(d, kind, err):
			continue
		case err != nil && either && kind == Lease:
			failed = err // a session may hold the lock nevertheless
		case err != nil && either && errors.Is(err, sqllock.ErrUnsupported):
			holder = &Holder{Kind: kind, Unseen: err}
		case err != nil:
			return nil, cmp.Or(failed, err)
		}
		if holder != nil {
			holders = append(holders, *holder)
		}
	}
	switch {
	case failed == nil:
		return holders, nil
	case len(holders) == 0 || holders[0].Unseen != nil:
		return nil, failed
	}
	return append(holders, Holder{Kind: Lease, Unseen: failed}), nil
}

// nobodyHas reports whether err means that a lock of that kind can't be held at all: the engine has
// none, or there are no tables. Tables of another version may well contain a lease.
func nobodyHas(d dialect.Dialect, kind Kind, err error) bool {
	if kind == Session {
		_, has := d.(dialect.SessionLocker)
		return !has && errors.Is(err, sqllock.ErrUnsupported)
	}
	schema, ok := errors.AsType[*sqllock.SchemaError](err)
	return ok && schema.Have == 0 && !schema.Dirty && !schema.Several
}

func (o Options) readHolder(ctx context.Context, d dialect.Dialect, kind Kind) (holder *Holder, err error) {
	var client *sqllock.Client
	err = untilAnswered(ctx, d, func() (err error) {
		client, err = o.client(ctx, d, kind)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close(ctx)) }()
	if kind == Session {
		return o.readSessionHolder(ctx, client)
	}
	info, err := client.Inspect(ctx, o.Name)
	if err != nil || info.State != sqllock.StateHeld && info.State != sqllock.StateExpired {
		return nil, err
	}
	return &Holder{
		Kind: Lease, Holder: info.Holder, Note: info.Note, Since: info.Since, Fence: info.Fence,
		Remaining: info.Remaining, Dead: info.State == sqllock.StateExpired,
	}, nil
}

// readSessionHolder tries a second time if no holder is shown: the holder may have released the
// lock after the first attempt, or it can't be seen.
func (o Options) readSessionHolder(ctx context.Context, client *sqllock.Client) (*Holder, error) {
	for again := true; ; again = false {
		lock, err := client.Session(o.Name).TryAcquire(ctx)
		held, ok := errors.AsType[*sqllock.HeldError](err)
		switch {
		case ok && held.Holder == "" && again: // try once more
		case ok:
			return &Holder{Kind: Session, Holder: held.Holder, Since: held.Connected}, nil
		case err != nil:
			return nil, err
		default:
			return nil, lock.Release(ctx)
		}
	}
}

// Break takes the lock away from the holder of a Lease that [ReadHolder] has returned: see
// sqllock.Client.Break. The error is [sqllock.ErrNotHeld] if the lock has changed hands or been
// released since. A process that migrates notices the loss before its next migration. The database
// records the break, with what the breakOptions say.
//
// The lock of a Session can't be broken ([dialect.ErrUnsupported]). End its connection with the
// server's own means.
func Break(
	ctx context.Context, d dialect.Dialect, options *Options, holder Holder, breakOptions ...sqllock.BreakOption,
) error {
	o, err := withDefaults(options)
	if err != nil {
		return err
	}
	if holder.Kind != Lease {
		return fmt.Errorf("%w: only a lease can be broken: the server releases a session lock when its connection "+
			"ends", dialect.ErrUnsupported)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	client, err := o.client(ctx, d, Lease)
	if err != nil {
		return err
	}
	_, err = client.Break(ctx, o.Name, holder.Fence, breakOptions...)
	return errors.Join(err, client.Close(ctx))
}
