package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// Take takes the lock. It waits until ctx ends or [Options].Timeout has passed; in the latter case
// the error is a [*TimeoutError]. It returns at that time even if the database doesn't respond.
// While the database is busy or starting, Take tries again.
//
// Any other error means that the lock can't be taken, and leaves nothing behind:
//
//   - [dialect.ErrInvalid]: an option is invalid.
//   - [sqllock.ErrUnsupported]: this kind of lock can't be trusted on this database.
//   - [sqllock.ErrSchema]: sqllock's tables are missing.
//   - an error of the database.
//
// ctx bounds only the wait. Canceling it later does not release the lock. options may be nil.
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
		if held.Outage != nil {
			return
		}
		last = held
		tell(held)
	}
	held, err := o.take(bounded, d)
	switch {
	case err == nil:
		return held, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("gave up waiting for the migration lock: %w", err)
	case o.NoWait && errors.Is(err, sqllock.ErrNotAcquired) && bounded.Err() == nil:
		return nil, &TimeoutError{Held: last, Err: err}
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

// takeKind tries again if the tables for a lease are missing, because the previous holder of the
// lock has dropped all tables, or if another process is creating them. Prepare has brought them up
// to date, so tables that are old are those of a cluster's node that has not applied that yet.
func (o Options) takeKind(ctx context.Context, d dialect.Dialect, kind Kind) (*Held, error) {
	for {
		held, err := o.takeOnce(ctx, d, kind)
		gone, ok := errors.AsType[*sqllock.SchemaError](err)
		if !ok || gone.Several || gone.Have >= gone.Want && !gone.Dirty || kind != Lease || o.Prepare == nil ||
			!nextPoll(ctx) {
			return held, err
		}
	}
}

func (o Options) takeOnce(ctx context.Context, d dialect.Dialect, kind Kind) (*Held, error) {
	var client *sqllock.Client
	held := &Held{kind: kind}
	err := untilAnswered(ctx, d, func() (err error) {
		if kind == Lease && o.Prepare != nil {
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
	err = untilAnswered(ctx, d, func() (err error) {
		held.lock, held.fence, err = o.acquire(ctx, client, kind)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, client.Close(ctx))
	}
	held.client = client
	return held, nil
}

// acquire waits for the lock, or makes one attempt. A session lock has no fence, so its fence is 0.
func (o Options) acquire(ctx context.Context, client *sqllock.Client, kind Kind) (acquired, int64, error) {
	if kind == Session {
		locker := client.Session(o.Name)
		if o.NoWait {
			lock, err := locker.TryAcquire(ctx)
			return lock, 0, o.tell(err)
		}
		lock, err := locker.Acquire(ctx, sqllock.OnWait(o.Waiting))
		return lock, 0, err
	}
	acquire := func() (*sqllock.Lock, error) { return client.Acquire(ctx, o.Name, sqllock.OnWait(o.Waiting)) }
	if o.NoWait {
		acquire = func() (*sqllock.Lock, error) {
			lock, err := client.TryAcquire(ctx, o.Name)
			return lock, o.tell(err)
		}
	}
	lock, err := acquire()
	if err != nil {
		return nil, 0, err
	}
	fence := lock.Fence()
	return lock, fence, nil
}

// tell calls Waiting if err names a holder of the lock, and returns err.
func (o Options) tell(err error) error {
	if held, ok := errors.AsType[*sqllock.HeldError](err); ok {
		o.Waiting(held)
	}
	return err
}

// untilAnswered calls ask again while the database reports that it can't respond right now. SQLite
// does so while another process writes, which during a migration may take longer than a Client
// waits.
func untilAnswered(ctx context.Context, d dialect.Dialect, ask func() error) error {
	var before error
	for {
		err := ask()
		switch {
		case ctx.Err() != nil && before != nil && err != nil && !errors.Is(err, sqllock.ErrNotAcquired):
			return before // says more than that the time is over
		case err == nil || d.Classify(err) != dialect.ClassTransient || ctx.Err() != nil:
			return err
		}
		before = err
		if !nextPoll(ctx) {
			return err
		}
	}
}

// nextPoll waits until the next poll. It reports false if ctx ends before that.
func nextPoll(ctx context.Context) bool {
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// TimeoutError reports that another process held the lock until Options.Timeout had passed.
type TimeoutError struct {
	Timeout time.Duration      // the time waited; 0 if the call didn't wait
	Held    *sqllock.HeldError // the last known holder; nil if none was seen
	Err     error              // the error of the last attempt
}

// Error names the holder and says what to do.
func (e *TimeoutError) Error() string {
	if e.Held == nil {
		return fmt.Sprintf("the migration lock couldn't be acquired within %v: %v", e.Timeout, e.Err)
	}
	return fmt.Sprintf("another process %s: %s. Wait until it has migrated, or set a longer lock timeout, and try "+
		"again",
		Holds(e.Timeout), Describe(e.Held))
}

// Unwrap returns the error of the last attempt, usually [sqllock.ErrNotAcquired] or
// [context.DeadlineExceeded].
func (e *TimeoutError) Unwrap() error { return e.Err }

// Holds returns the part of a sentence that says that a process holds the lock, and for how long
// the caller has waited.
func Holds(waited time.Duration) string {
	if waited == 0 {
		return "holds the migration lock"
	}
	return fmt.Sprintf("has held the migration lock for %v", waited)
}

// Describe describes in one line who holds the lock, and since when, as far as it is known.
func Describe(held *sqllock.HeldError) string {
	holder := held.Holder
	if holder == "" {
		holder = "a process that the database doesn't name"
	}
	if held.Note != "" {
		holder += " (" + held.Note + ")"
	}
	switch {
	case !held.Since.IsZero():
		holder += ", since " + held.Since.UTC().Format(time.RFC3339)
	case !held.Connected.IsZero():
		holder += ", connected since " + held.Connected.UTC().Format(time.RFC3339)
	}
	return holder
}
