package lock

import (
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
	Holder    string        // as it calls itself; for a session with what the server tells of it, where from say
	Note      string        // what it said of itself
	Since     time.Time     // when it took a Lease, or made the connection of a Session, by the database's clock; zero if unknown
	Fence     int64         // of a Lease: names this acquisition
	Remaining time.Duration // until the Lease runs out, unless its holder renews it
	Dead      bool          // it has run out: the next who wants the lock gets it
}

// Look tells who holds the lock, of either kind unless Options.Kind says which: nobody, mostly one, and two if not all
// who migrate agree on the kind. It waits for nobody, and for the database up to Options.Timeout. To find out about a
// session lock it tries to take it, and lets go of it at once.
func Look(ctx context.Context, d dialect.Dialect, options *Options) ([]Holder, error) {
	o, err := withDefaults(options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var holders []Holder
	for _, kind := range []Kind{Lease, Session} {
		if o.Kind != kind && o.Kind != Auto {
			continue
		}
		holder, err := o.look(ctx, d, kind)
		if err != nil {
			// Where there is no such lock, nobody holds it.
			if o.Kind == Auto && (errors.Is(err, sqllock.ErrSchema) || errors.Is(err, sqllock.ErrUnsupported)) {
				continue
			}
			return nil, err
		}
		if holder != nil {
			holders = append(holders, *holder)
		}
	}
	return holders, nil
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
	if kind == Lease {
		info, err := client.Inspect(ctx, o.Name)
		if err != nil || info.State != sqllock.Held && info.State != sqllock.Expired {
			return nil, err
		}
		return &Holder{
			Kind: Lease, Holder: info.Holder, Note: info.Note, Since: info.Since, Fence: info.Fence,
			Remaining: info.Remaining, Dead: info.State == sqllock.Expired,
		}, nil
	}
	lock, err := client.TryAcquire(ctx, o.Name, sqllock.Session())
	if held, ok := errors.AsType[*sqllock.HeldError](err); ok {
		return &Holder{Kind: Session, Holder: held.Holder, Since: held.Connected}, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, lock.Release(ctx)
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
