package once

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/anytx"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Do makes sure that the work for a key succeeds once, and returns its outcome: that of this call,
// or the remembered outcome of another call, in this or another process. A caller that comes while
// the work is in progress waits for it until ctx ends; the error is then that of
// [sqllock.Client.Acquire]. The caller waits for a lock that belongs to the key, and that is
// independent of other locks of that name. If fn calls Do for the same key, with the ctx that fn
// got, that call returns [sqllock.ErrDeadlock], and so does a call that closes a longer circle (see
// [sqllock.Client.Acquire]). With any other ctx the call waits until that ctx ends.
//
// If fn fails, Do returns its error and remembers nothing, and the next caller does the work (but
// see [RememberFailure]). The ctx that fn gets ends with ctx, and with cause [sqllock.ErrLost] when
// the lock can't be trusted any longer. As soon as the lease has expired another caller does the
// work, so fn should return when its ctx ends. If fn goes on, or had just finished, the effects of
// the work may happen twice. The first outcome that is written wins, and every caller gets that
// one. To keep effects from happening twice, call [sqllock.Lock.Guard] in fn's transaction or use
// [DoTx], if fn writes to this database. Another resource can refuse a smaller
// [sqllock.Lock.Fence].
//
// The result is remembered for [DefaultKeep], or as [Keep] says. If the work was done but its
// outcome could not be written, the error is an [ErrNotRemembered], and the [Outcome] has the
// result all the same. The work may then be done again. That happens if the database failed for
// several seconds, if the [sqllock.Client] was closed, or if the result is longer than
// [MaxResultBytes] (which is also an [sqllock.ErrInvalid]). If fn panics, the lock is released and
// the panic goes on.
//
// Do and DoTx share their keys, but neither waits for the other's work, so use only one of them
// for a key.
func Do(ctx context.Context, c *sqllock.Client, key string,
	fn func(ctx context.Context, lock *sqllock.Lock) ([]byte, error), opts ...Option,
) (Outcome, error) {
	w, err := newWork(c, key, fn == nil, opts)
	if err != nil {
		return Outcome{}, err
	}
	return w.do(ctx, w.c.Acquire, fn)
}

// do does the work under a lock that it gets from acquire, if nothing is remembered.
func (w *work) do(ctx context.Context, acquire func(context.Context, request.Request) (*sqllock.Lock, error),
	fn func(context.Context, *sqllock.Lock) ([]byte, error),
) (out Outcome, err error) {
	o, err := w.recall(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if o.Kept {
		return w.answer(o, true)
	}
	lock, err := acquire(ctx, w.request())
	if err != nil {
		return Outcome{}, err
	}
	var result []byte
	err = w.c.While(ctx, lock, func(ctx context.Context) (err error) {
		// Another caller may have done the work while this one waited for the lock.
		if o, err = w.recall(ctx); err != nil || o.Kept {
			return err
		}
		result, err = fn(ctx, lock)
		// ctx may end a moment after fn has returned, so the lock is checked too.
		if err != nil && (!w.failures || ctx.Err() != nil || w.c.LockErr(lock) != nil) {
			return err
		}
		var failed error
		if o, failed = w.conclude(ctx, lock, result, err); failed != nil {
			err = errors.Join(err, failed)
		}
		return err
	})
	switch {
	case !o.Kept:
		return Outcome{Result: result}, err
	case o.Failed && o.Fence == lock.Fence():
		return Outcome{At: o.At}, err // the first time, the caller gets the error itself
	}
	// If the outcome is there, it no longer matters that the lock was lost.
	return w.answer(o, o.Fence != lock.Fence())
}

// conclude writes the outcome of the work.
func (w *work) conclude(ctx context.Context, lock *sqllock.Lock, result []byte, err error) (dialect.Outcome, error) {
	done := dialect.Done{Name: w.key, Fence: lock.Fence(), Result: result, Keep: request.ToMicros(w.keep)}
	if err != nil {
		done.Failed, done.Result = true, failure(err)
	} else if err := w.checkResult(result); err != nil {
		return dialect.Outcome{}, fmt.Errorf("%w: %w", ErrNotRemembered, err)
	}
	o, err := w.remember(ctx, done)
	if err == nil && o.Fence != done.Fence {
		w.c.Log().Warn("sqllock: work was done twice, because its lock was lost meanwhile; the first outcome counts",
			"key", w.key, "fence", done.Fence, "first", o.Fence)
	}
	return o, err
}

// remember writes the outcome, even if ctx has ended.
func (w *work) remember(ctx context.Context, done dialect.Done) (o dialect.Outcome, err error) {
	if err = w.c.OwnTx(context.WithoutCancel(ctx), "remembering the outcome of", w.key); err != nil {
		return o, fmt.Errorf("%w: %w", ErrNotRemembered, err)
	}
	db := w.c.Store()
	started := db.RunInline(func() {
		o, err = db.RememberOutcome(db.Operation(ctx), done)
	})
	switch {
	case !started:
		return o, fmt.Errorf("sqllock: %w: the work for %q: %w", ErrNotRemembered, w.key, sqllock.ErrClosed)
	case err != nil:
		err = w.c.Failed(fmt.Sprintf("remembering the outcome of %q", w.key), err)
		return o, fmt.Errorf("%w: %w", ErrNotRemembered, err)
	}
	return o, nil
}

// DoTx does the work for a key in the caller's transaction and remembers its outcome there, so
// the outcome commits together with what fn wrote in tx, or is rolled back with it. What fn writes
// in tx is therefore written once, however often the same message is delivered, and whenever a
// process is killed. If an outcome is remembered already, DoTx does not call fn and returns that
// outcome with [Outcome].Replayed set: commit tx or roll it back, then acknowledge the message.
//
// Call DoTx before anything else in tx. Another transaction for the same key waits in the database
// until this one or its own ctx has ended; on SQLite all writers wait.
//
// After an error roll tx back; nothing is remembered then. The errors are:
//
//   - fn's error, unchanged.
//   - [sqllock.ErrRetryTx] if tx conflicted with another transaction. Under REPEATABLE READ and
//     SERIALIZABLE, that happens if the outcome of the same key was remembered since tx began. On
//     MySQL and MariaDB it happens if several transactions waited for one that was rolled back.
//   - [sqllock.ErrInvalid] if the key or an option breaks a rule, if the result is longer than
//     [MaxResultBytes], or if fn ended the transaction.
//
// In a cluster in which all members take writes, such as Galera, one of two transactions for one
// key on two members fails at its commit: roll it back and begin again. A commit whose outcome is
// unknown does no harm: do everything again.
//
// Remember the outcome for longer than a message can be delivered again ([Keep]). Anything
// that fn does outside of tx may happen twice.
func DoTx(ctx context.Context, c *sqllock.Client, tx sqllock.Tx, key string,
	fn func(ctx context.Context) ([]byte, error), opts ...TxOption,
) (Outcome, error) {
	w, err := newWork(c, key, fn == nil, opts)
	if err != nil {
		return Outcome{}, err
	}
	in, err := anytx.Of(tx, "the work for", key)
	switch {
	case err != nil:
		return Outcome{}, err
	case in == nil:
		return Outcome{}, fail.Invalid("the transaction for the work for %q is nil", key)
	}
	o, err := store.One(w.c.Store().ClaimTx(ctx, in, []string{key}))
	if err != nil {
		return Outcome{}, w.failedTx("claiming", err)
	}
	if o.Kept {
		return w.answer(o, true)
	}
	result, err := fn(ctx)
	if err == nil {
		err = w.checkResult(result)
	}
	if err != nil {
		return Outcome{}, err
	}
	done := dialect.Done{Name: key, Result: result, Keep: request.ToMicros(w.keep)}
	o, err = store.One(w.c.Store().RememberTx(ctx, in, []dialect.Done{done}))
	switch {
	case err != nil:
		return Outcome{}, w.failedTx("remembering the outcome of", err)
	case !o.Kept:
		return Outcome{}, fail.Invalid("the function for %q has undone the claim of its key: it must not end the "+
			"transaction, nor roll it back to a savepoint from before", key)
	}
	return w.answer(o, false)
}

// failedTx returns the error for a call in the caller's transaction that failed.
func (w *work) failedTx(what string, err error) error {
	failed := w.c.Failed(fmt.Sprintf("%s %q in a transaction", what, w.key), err)
	if w.c.Store().Classify(err) == dialect.ClassTransient && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("%w: %w", sqllock.ErrRetryTx, failed)
	}
	return failed
}

// MaxJobBytes is the length of the longest job name of [RunOccurrence], which together with
// the time makes a key.
const MaxJobBytes = sqllock.MaxNameBytes - len("@2006-01-02T15:04:05.000000000Z")

// RunOccurrence runs a scheduled job once for each time that it is scheduled for. All hosts call it
// at about that time and one of them runs the job, however quick the job and however different the
// hosts' clocks are, as long as the outcome is kept ([DefaultKeep], or [Keep]). scheduled is the
// time that the schedule gives, which is the same on every host, and not the time of the call.
// RunOccurrence reports whether it called fn. It does not wait for another host:
//
//   - false and no error: the job was run already, by any host.
//   - false and an [sqllock.ErrNotAcquired], usually a [*sqllock.HeldError] that says who: another
//     host is running it.
//   - true and fn's error: the job failed, nothing is remembered, and the next caller runs it. With
//     [RememberFailure], later callers get an [ErrFailedBefore] instead.
//
// Otherwise it is like [Do] with the key job + "@" + the time in UTC, formatted as
// [time.RFC3339Nano].
//
// Use RunOccurrence if the schedule gives the time of each run. Use [sqllock.Client.TryAcquire]
// with [sqllock.HoldAtLeast] if there is no such time, or if a run that failed must not be
// repeated. HoldAtLeast keeps other hosts out for a time that must be longer than the difference of
// their clocks and shorter than the schedule's interval. In both cases the next run can begin while
// a long one is still in progress. To prevent that, run the job under a lock of its name
// ([sqllock.Client.Do]).
func RunOccurrence(
	ctx context.Context, c *sqllock.Client, job string, scheduled time.Time,
	fn func(ctx context.Context, lock *sqllock.Lock) error, opts ...Option,
) (ran bool, err error) {
	key, err := occurrence(job, scheduled)
	if err != nil {
		return false, err
	}
	w, err := newWork(c, key, fn == nil, opts)
	if err != nil {
		return false, err
	}
	_, err = w.do(ctx, w.c.Try, func(ctx context.Context, lock *sqllock.Lock) ([]byte, error) {
		ran = true
		return nil, fn(ctx, lock)
	})
	return ran, err
}

// occurrence returns the key of a job at a time.
func occurrence(job string, scheduled time.Time) (string, error) {
	if err := request.CheckText("job", job, sqllock.MaxNameBytes); err != nil {
		return "", err
	}
	utc := scheduled.UTC()
	switch {
	case len(job) > MaxJobBytes:
		return "", fail.Invalid("the job %.40q… is %d bytes long; at most %d are allowed", job, len(job), MaxJobBytes)
	case scheduled.IsZero():
		return "", fail.Invalid("the time that job %q is scheduled for is the zero time", job)
	case utc.Year() < 0 || utc.Year() > 9999:
		return "", fail.Invalid("job %q is scheduled for the year %d; it must be from 0 to 9999", job, utc.Year())
	}
	return job + "@" + utc.Format(time.RFC3339Nano), nil
}
