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
	Sets     bool // an account's lock is taken together with others
}

// job is what a worker tells of each piece of work, after it.
type job struct {
	Worker, Routine, Job int64
	Fence                int64
	Outcome              outcome
	Detail               string
}

type jobID struct{ worker, routine, job int64 }

type outcome string

const (
	wrote   outcome = "wrote"   // for certain
	refused outcome = "refused" // the lock was lost; nothing written
	late    outcome = "late"    // no answer in time, since the process was frozen or the database busy; nothing written
	failed  outcome = "failed"  // the database did; nothing written
	unsure  outcome = "unsure"  // the commit's reply was lost
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

// untilStop is ctx until the worker is told to stop, which may be before this.
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

// stop ends the loads; they answer when the jobs under way are done.
func (w *worker) stop(context.Context, struct{}) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ending {
		end()
	}
	w.ending, w.stopped = nil, true
	return nil, nil
}

// takeAccount takes the account's lock, and answers with its fence.
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

// doJob takes the account's lock, does the job, and says what became of it. Nothing, if the load ended before.
// It never looks at the lock's context: the guard alone has to keep a late writer from doing harm.
func (w *worker) doJob(ctx context.Context, j *job, account int64, args loadArgs) {
	take := w.takeAccount
	if args.Sets {
		take = w.takeSet
	}
	fence, lock, err := take(ctx, account, args.Accounts)
	if errors.Is(err, sqllock.ErrNotAcquired) {
		return
	}
	if err == nil {
		j.Fence = fence
		e := entry{Account: account, Worker: j.Worker, Routine: j.Routine, Job: j.Job, Fence: j.Fence}
		err = e.write(context.WithoutCancel(ctx), w.target.DB, lock)
		if late := lock.Release(ctx); err == nil && late != nil && !errors.Is(late, sqllock.ErrLost) {
			j.Detail = late.Error()
		}
	}
	j.became(ctx, err)
}

// became takes note of what became of a job. If the database failed, it waits a little.
func (j *job) became(ctx context.Context, err error) {
	switch {
	case err == nil:
		j.Outcome = wrote
		return
	case errors.Is(err, errUnsure):
		j.Outcome = unsure
	case errors.Is(err, sqllock.ErrLost):
		j.Outcome = refused
	case errors.Is(err, context.DeadlineExceeded):
		j.Outcome = late
	default:
		j.Outcome = failed
		select { // the database is down, or restarting: no use in asking at once
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	j.Detail = err.Error()
}
