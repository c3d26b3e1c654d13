package sqllock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// database is the [store.Store] with what a failed call means for the caller.
type database struct {
	*store.Store

	oneWriter     dialect.OneWriter // nil on engines that have several writers at a time
	clusterWrites atomic.Bool       // other servers of a cluster write too: see dialect.Server
}

func newDatabase(d dialect.Dialect) *database {
	one, _ := d.(dialect.OneWriter)
	return &database{Store: store.New(d), oneWriter: one}
}

// failed returns the error for a call that the database refused or couldn't carry out.
func (d *database) failed(what string, err error) error {
	class := d.Classify(err)
	switch {
	case class == dialect.ClassNoSchema:
		return &SchemaError{Want: d.SchemaVersion(), Err: err}
	case class == dialect.ClassReadOnly:
		return fmt.Errorf("sqllock: %s: %w: it takes no writes (is it a replica?); connect to the primary: %w",
			what, ErrUnsupported, err)
	case d.Dialect.Classify(err) == dialect.ClassReadOnly:
		return fmt.Errorf("sqllock: %s: the server takes no writes any more; is a failover under way? %w", what, err)
	}
	if d.Ended() && errors.Is(err, context.Canceled) { // Close canceled it
		return fmt.Errorf("sqllock: %s: %w", what, ErrClosed)
	}
	if class != dialect.ClassTransient && errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, dialect.ErrNoConnection) {
		return fmt.Errorf("sqllock: %s: no answer from the database in time: %w", what, err)
	}
	return fmt.Errorf("sqllock: %s: %w", what, err)
}

// passing reports whether a database call that failed with err may succeed, or fail with another
// error, a while later. Work that runs as long as the process must not end because of an outage or
// a failover.
func (d *database) passing(err error) bool {
	for _, final := range []error{ErrInvalid, ErrClosed, ErrSchema, ErrDeadlock} {
		if errors.Is(err, final) {
			return false
		}
	}
	return d.Classify(err) != dialect.ClassPermanent
}

// unanswered reports whether err means that the database did not answer, because it is busy,
// restarting or cut off. A call that may wait until its ctx ends then waits on. An error by which
// the database refuses something is an answer.
func (d *database) unanswered(err error) bool {
	if err == nil || errors.Is(err, ErrNotAcquired) || errors.Is(err, ErrUnsupported) || !d.passing(err) {
		return false
	}
	class := d.Classify(err)
	return class == dialect.ClassTransient || class == dialect.ClassUnknown
}

// lookWithin bounds one of several tries to reach a database that may come up at any time.
const lookWithin = 30 * time.Second

// awaited calls look until the database answers it or ctx ends.
func (d *database) awaited(ctx context.Context, look func(context.Context) error, log *slog.Logger) error {
	for said := (time.Time{}); ; {
		within, cancel := context.WithTimeout(ctx, lookWithin)
		err := look(within)
		cancel()
		if err == nil || !d.passing(err) {
			return err
		}
		if time.Since(said) >= store.OperationTimeout {
			said = time.Now()
			log.Warn("sqllock: the database can't be used yet; New waits for it until its ctx ends",
				"database", d.Name(), "err", err)
		}
		if !store.Sleep(ctx, store.Jitter(store.MaxBackoff)) {
			return fmt.Errorf("sqllock: waited for the database: %w: %w", fail.Ended(ctx), err)
		}
	}
}

// ownTx returns an error if a call would wait for an open transaction of the calling goroutine,
// where the engine can find that out. doing and name say what was asked, and on which lock.
func (d *database) ownTx(ctx context.Context, doing, name string) error {
	if d.oneWriter == nil {
		return nil
	}
	err := d.oneWriter.OwnTx(ctx)
	switch {
	case err == nil:
		return nil
	case name == "":
		return fmt.Errorf("sqllock: %s: %w", doing, err)
	}
	return fmt.Errorf("sqllock: %s %q: %w", doing, name, err)
}

// ownTxOfAcquire is ownTx for an acquisition, whose ctx may end meanwhile.
func (d *database) ownTxOfAcquire(ctx context.Context, name string) error {
	if d.oneWriter == nil {
		return nil
	}
	err := d.ownTx(ctx, "acquiring lock", name)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", gaveUp(ctx, name, nil), err)
	}
	return err
}

// gaveUpUnanswered is gaveUp for a caller whose ctx ended before the database answered. The error
// says who has the database locked, if that is known.
func (d *database) gaveUpUnanswered(ctx context.Context, name string) error {
	err := gaveUp(ctx, name, nil)
	if d.oneWriter != nil {
		if by := d.oneWriter.Writer(); by != "" {
			err = fmt.Errorf("%w; the database's write lock is held by %s", err, by)
		}
	}
	return err
}
