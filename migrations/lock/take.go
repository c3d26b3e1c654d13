package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// Take takes the lock, and waits for it until Options.Timeout has passed (a *TimeoutError) or ctx ends; either is kept to,
// whatever the database does. Any other error means that the lock can't be had here: dialect.ErrInvalid,
// sqllock.ErrUnsupported (the kind of lock can't be trusted here), sqllock.ErrSchema (sqllock's tables are missing), or the
// database's own. Nothing is left behind then. The database may be busy or starting meanwhile: it is asked again.
//
// After Take returns, ctx means nothing to the lock. A nil Options is fine.
func Take(ctx context.Context, d dialect.Dialect, options *Options) (*Held, error) {
	o, err := withDefaults(options)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, fmt.Errorf("%w: the dialect is nil", dialect.ErrInvalid)
	}
	bounded, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var last *sqllock.HeldError
	tell := o.Waiting
	o.Waiting = func(held *sqllock.HeldError) {
		last = held
		tell(held)
	}
	held, err := o.take(bounded, d)
	switch {
	case err == nil:
		return held, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("gave up waiting for the migration lock: %w", err)
	case bounded.Err() != nil:
		return nil, &TimeoutError{Timeout: o.Timeout, Held: last, Err: err}
	}
	return nil, err
}

func (o Options) take(ctx context.Context, d dialect.Dialect) (*Held, error) {
	switch o.Kind {
	case None:
		return &Held{kind: None}, nil
	case Session, Lease:
		return o.takeKind(ctx, d, o.Kind)
	case Auto: // below
	}
	held, err := o.takeKind(ctx, d, Session)
	if !errors.Is(err, sqllock.ErrUnsupported) {
		return held, err
	}
	o.Chosen(Lease, err)
	return o.takeKind(ctx, d, Lease)
}

func (o Options) takeKind(ctx context.Context, d dialect.Dialect, kind Kind) (*Held, error) {
	var client *sqllock.Client
	var lock *sqllock.Lock
	err := untilAnswered(ctx, d, func() (err error) {
		if kind == Lease {
			if err := o.Prepare(ctx); err != nil {
				return err
			}
		}
		client, err = o.client(ctx, d, kind)
		return err
	})
	if err != nil {
		return nil, err
	}
	options := append(o.acquisition(kind), sqllock.OnWait(o.Waiting))
	err = untilAnswered(ctx, d, func() (err error) {
		lock, err = client.Acquire(ctx, o.Name, options...)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, client.Close(ctx))
	}
	return &Held{kind: kind, client: client, lock: lock}, nil
}

// untilAnswered asks again while the database says that it can't right now. SQLite does so for as long as somebody else
// writes, which a migration may do for longer than a Client has patience.
func untilAnswered(ctx context.Context, d dialect.Dialect, ask func() error) error {
	var before error
	for {
		err := ask()
		switch {
		case ctx.Err() != nil && before != nil && err != nil && !errors.Is(err, sqllock.ErrNotAcquired):
			return before // which says more than that the time is over
		case err == nil || d.Classify(err) != dialect.Transient || ctx.Err() != nil:
			return err
		}
		before = err
		pause := time.NewTimer(100 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// TimeoutError says that the lock was another's for all of the time that we were willing to wait.
type TimeoutError struct {
	Timeout time.Duration      // how long we waited
	Held    *sqllock.HeldError // who held it when it was looked at last; nil if that was never seen
	Err     error              // what the last try came to
}

// Error tells who holds the lock and what to do.
func (e *TimeoutError) Error() string {
	if e.Held == nil {
		return fmt.Sprintf("the migration lock couldn't be had within %v: %v", e.Timeout, e.Err)
	}
	return fmt.Sprintf("another process has held the migration lock for %v: %s. Wait until it has migrated, or set a longer lock "+
		"timeout, and try again", e.Timeout, Describe(e.Held))
}

// Unwrap is what the last try came to: sqllock.ErrNotAcquired and context.DeadlineExceeded mostly.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Describe tells in a line who holds the lock, and since when, as far as it is known.
func Describe(held *sqllock.HeldError) string {
	who := held.Holder
	if who == "" {
		who = "a process that the database doesn't name"
	}
	if held.Note != "" {
		who += " (" + held.Note + ")"
	}
	switch {
	case !held.Since.IsZero():
		who += ", since " + held.Since.UTC().Format(time.RFC3339)
	case !held.Connected.IsZero():
		who += ", connected since " + held.Connected.UTC().Format(time.RFC3339)
	}
	return who
}
