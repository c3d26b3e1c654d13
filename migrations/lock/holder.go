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

// Holder is who holds the lock: a picture of a moment that has passed.
type Holder struct {
	Kind      Kind          // Session or Lease
	Holder    string        // as it calls itself; for a session with what the server tells of it, where from say; empty: that can't be seen
	Note      string        // what it said of itself
	Since     time.Time     // when it took a Lease, or made the connection of a Session, by the database's clock; zero if unknown
	Fence     int64         // of a Lease: names this acquisition
	Remaining time.Duration // until the Lease runs out, unless its holder renews it
	Dead      bool          // it has run out: the next who wants the lock gets it

	// Unseen says why it can't be found out from here whether anybody holds a lock of this Kind; then all but Kind is empty.
	// So it is with a Session behind a pooler that parts sessions, or on a replica, where another may have come past it.
	// That Leases can't be looked at, for want of a privilege say, is told so only beside a Session that is held.
	Unseen error
}

// Look tells who holds the lock, of either kind unless Options.Kind is one of them: nobody, mostly one, and two if not all
// who migrate agree on the kind. It waits for nobody, and for the database up to Options.Timeout. To find out about a
// session lock it tries to take it, and lets go of it at once: so it finds a holder, too, whom the database doesn't show.
// Where it can't find out, it says so, by an error or by Holder.Unseen.
func Look(ctx context.Context, d dialect.Dialect, options *Options) ([]Holder, error) {
	o, err := withDefaults(options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	either := o.Kind == Auto || o.Kind == None
	var holders []Holder
	var failed error // of leases
	for _, kind := range []Kind{Lease, Session} {
		if !either && o.Kind != kind {
			continue
		}
		holder, err := o.look(ctx, d, kind)
		switch {
		case err != nil && either && nobodyHas(d, kind, err):
			continue
		case err != nil && either && kind == Lease:
			failed = err // a session may hold it all the same
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

// nobodyHas tells whether that is why nobody can hold a lock of that kind: the engine has none, or there are no tables. Those
// of another version may well have a lease in them.
func nobodyHas(d dialect.Dialect, kind Kind, err error) bool {
	if kind == Session {
		_, has := d.(dialect.SessionLocker)
		return !has && errors.Is(err, sqllock.ErrUnsupported)
	}
	schema, ok := errors.AsType[*sqllock.SchemaError](err)
	return ok && schema.Have == 0 && !schema.Dirty
}

func (o Options) look(ctx context.Context, d dialect.Dialect, kind Kind) (holder *Holder, err error) {
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
		return o.lookAtSession(ctx, client)
	}
	info, err := client.Inspect(ctx, o.Name)
	if err != nil || info.State != sqllock.Held && info.State != sqllock.Expired {
		return nil, err
	}
	return &Holder{
		Kind: Lease, Holder: info.Holder, Note: info.Note, Since: info.Since, Fence: info.Fence,
		Remaining: info.Remaining, Dead: info.State == sqllock.Expired,
	}, nil
}

// lookAtSession tries once more where no holder is shown: it may have let go after the first try, or it can't be seen.
func (o Options) lookAtSession(ctx context.Context, client *sqllock.Client) (*Holder, error) {
	for again := true; ; again = false {
		lock, err := client.TryAcquire(ctx, o.Name, sqllock.Session())
		held, ok := errors.AsType[*sqllock.HeldError](err)
		switch {
		case ok && held.Holder == "" && again: // once more
		case ok:
			return &Holder{Kind: Session, Holder: held.Holder, Since: held.Connected}, nil
		case err != nil:
			return nil, err
		default:
			return nil, lock.Release(ctx)
		}
	}
}

// Break takes the lock away from a holder of a Lease that Look has told of: see sqllock.Client.Break. If it is over
// meanwhile the error is sqllock.ErrNotHeld. A process that migrates notices before its next migration.
// A Session's can't be broken (dialect.ErrUnsupported): end its connection, by what the server has for that.
func Break(ctx context.Context, d dialect.Dialect, options *Options, holder Holder) error {
	o, err := withDefaults(options)
	if err != nil {
		return err
	}
	if holder.Kind != Lease {
		return fmt.Errorf("%w: only a lease can be broken: a session lock goes with its connection", dialect.ErrUnsupported)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	client, err := o.client(ctx, d, Lease)
	if err != nil {
		return err
	}
	_, err = client.Break(ctx, o.Name, holder.Fence)
	return errors.Join(err, client.Close(ctx))
}
