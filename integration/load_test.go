package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// loadArgs asks a worker for guarded work on the ledger until "stop".
type loadArgs struct {
	Worker   int64
	Routines int64
	Accounts int64
	Sets     bool // whether a job takes the account's lock together with others
	Cluster  bool // for a database that may fail over: a job waits for its lock, and reads in its transaction
}

// job is the value of the event that a worker sends after each piece of work.
type job struct {
	Worker, Routine, Job int64
	Fence                int64
	Outcome              outcome
	Detail               string
}

type jobID struct{ worker, routine, job int64 }

type outcome string

const (
	wrote   outcome = "wrote"    // written for certain
	refused outcome = "refused"  // not written, since the lock was lost
	late    outcome = "late"     // not written: no reply in time, as the process was frozen or the database busy
	failed  outcome = "failed"   // not written, since the database failed
	inDoubt outcome = "in doubt" // written or not, since the commit failed
	unheld  outcome = "unheld"   // not written, since a wait for the lock failed, which only its ctx may end
)

var (
	_ = handle("load", (*worker).load)
	_ = handle("stop", (*worker).stop)
)

func (w *worker) load(ctx context.Context, args loadArgs) (any, error) {
	ctx = w.untilStop(ctx)
	var routines sync.WaitGroup
	for r := range args.Routines {
		routines.Go(func() {
			for n := int64(1); ctx.Err() == nil; {
				j := job{Worker: args.Worker, Routine: r, Job: n}
				if w.doJob(ctx, &j, 1+rand.Int64N(args.Accounts), args); j.Outcome != "" {
					w.event("job", j)
					n++
				}
			}
		})
	}
	routines.Wait()
	return nil, nil
}

// untilStop returns a context that ends with ctx or with the command "stop", even if that came
// before.
func (w *worker) untilStop(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		cancel()
	}
	w.ending = append(w.ending, cancel)
	return ctx
}

// stop ends the loads without waiting for them. They return when the jobs under way are done.
func (w *worker) stop(context.Context, struct{}) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ending {
		end()
	}
	w.ending, w.stopped = nil, true
	return nil, nil
}

// takeAccount takes the account's lock, and returns its fence.
func (w *worker) takeAccount(ctx context.Context, account, _ int64) (int64, held, error) {
	name := fmt.Sprintf("account/%d", account)
	lock, err := w.locks.TryAcquire(ctx, name)
	if errors.Is(err, sqllock.ErrNotAcquired) {
		lock, err = w.locks.Acquire(ctx, name)
	}
	if err != nil {
		return 0, nil, err
	}
	fence := lock.Fence()
	return fence, lock, nil
}

// awaitAccount waits for the account's lock, for as long as that takes.
func (w *worker) awaitAccount(ctx context.Context, account, _ int64) (int64, held, error) {
	lock, err := w.locks.Acquire(ctx, fmt.Sprintf("account/%d", account))
	if err != nil {
		return 0, nil, err
	}
	fence := lock.Fence()
	return fence, lock, nil
}

// doJob takes the account's lock, does the job, and sets j.Outcome. It leaves that empty if the
// load ended before the lock was acquired. It never checks the lock's context: the guard alone must
// keep a late writer from doing harm.
func (w *worker) doJob(ctx context.Context, j *job, account int64, args loadArgs) {
	take := w.takeAccount
	switch {
	case args.Sets:
		take = w.takeSet
	case args.Cluster:
		take = w.awaitAccount
	}
	fence, lock, err := take(ctx, account, args.Accounts)
	switch {
	case errors.Is(err, sqllock.ErrNotAcquired):
		return
	case err != nil && args.Cluster:
		j.Outcome, j.Detail = unheld, err.Error()
		return
	}
	if err == nil {
		err = w.writeUnder(ctx, j, account, fence, lock, func(ctx context.Context, e entry) error {
			if args.Cluster {
				return e.writeInTx(ctx, w.target.DB, lock)
			}
			return e.write(ctx, w.target.DB, lock)
		})
	}
	j.became(ctx, err)
}

// writeUnder writes the line of a job under its lock, and releases the lock.
func (w *worker) writeUnder(ctx context.Context, j *job, account, fence int64, lock held,
	write func(ctx context.Context, e entry) error,
) error {
	j.Fence = fence
	e := entry{Account: account, Worker: j.Worker, Routine: j.Routine, Job: j.Job, Fence: fence}
	err := write(context.WithoutCancel(ctx), e)
	if late := lock.Release(ctx); err == nil && late != nil && !errors.Is(late, sqllock.ErrLost) {
		j.Detail = late.Error()
	}
	return err
}

// became sets the outcome of a job that ended with err. If the database failed, it waits a little.
func (j *job) became(ctx context.Context, err error) {
	switch {
	case err == nil:
		j.Outcome = wrote
		return
	case errors.Is(err, errInDoubt):
		j.Outcome = inDoubt
	case errors.Is(err, sqllock.ErrLost):
		j.Outcome = refused
	case errors.Is(err, context.DeadlineExceeded):
		j.Outcome = late
	default:
		j.Outcome = failed
		select { // the database is down, or restarting, so an immediate retry is no use
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	j.Detail = err.Error()
}
