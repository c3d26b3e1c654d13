package election

import (
	"context"
	"slices"
	"strconv"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// The candidate that wins an election's lock, by the order of the queue or by being first, is not
// always the one that is to lead: a live request may name another one (HandOverTo), or a candidate
// of a higher priority may wait. The winner checks that before its Campaign returns. If another
// candidate is to lead, the winner releases the lock and waits until that candidate has left the
// queue, because it leads or has given up. A leader checks about every second, and is asked to hand
// over if another candidate is to lead.
//
// A candidate that hangs stays in the queue for as long as its lease is alive, and never takes the
// lead. So each process yields to one queue entry only once because of a request, and once because
// of its priority.

// preference is what a process yields to: a queue entry, and the request that names its holder.
// Both are owner tokens. request is empty if the reason is the candidate's priority.
type preference struct{ entry, request string }

// yieldStage is how far a process has gone in yielding.
type yieldStage int

const (
	yieldAsked yieldStage = iota + 1 // as the leader, it was asked to hand over
	yieldDone                        // it released the lock and waited
)

// markYielded records that this process yields to p as far as stage. It returns false if it had
// gone that far before.
func (e *Election) markYielded(p preference, stage yieldStage) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.yielded[p] >= stage {
		return false
	}
	if e.yielded == nil {
		e.yielded = make(map[preference]yieldStage)
	}
	e.yielded[p] = stage
	return true
}

// forget removes what is recorded about candidates that have left the queue.
func (e *Election) forget(queue []dialect.Waiting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for p := range e.yielded {
		if !slices.ContainsFunc(queue, func(c dialect.Waiting) bool { return c.Owner == p.entry }) {
			delete(e.yielded, p)
		}
	}
}

// rival is a candidate that is to lead in place of another.
type rival struct {
	dialect.Waiting
	preference preference
}

// name returns the rival's name for the log.
func (r *rival) name() string {
	if r == nil {
		return "the first to come"
	}
	return r.Holder
}

// preferred returns the candidate to which this process, which has just won that lock, has to
// yield. It returns nil if there is none. It also returns nil if that could not be found out,
// because the winner must not lose the lock over a failed read.
func (e *Election) preferred(ctx context.Context, lock *sqllock.Lock) (*rival, error) {
	readCtx, end := e.c.Scope(ctx, lock)
	defer end(nil)
	readCtx, cancel := context.WithTimeout(readCtx, store.OperationTimeout)
	defer cancel()
	_, to, err := e.asked(readCtx, lock, yieldDone)
	switch {
	case ctx.Err() != nil:
		return nil, e.c.GaveUp(ctx, e.req.Name)
	case err != nil && e.c.Passing(err):
		e.c.Log().Warn("sqllock: checking whether another candidate is to lead failed; leading",
			"election", e.req.Name, "err", err)
		return nil, nil
	}
	return to, err
}

// asked returns who asks the holder of this lock to release it, and in favor of which candidate. by
// is empty if nobody asks. to is nil if any candidate may lead.
func (e *Election) asked(ctx context.Context, lock *sqllock.Lock, stage yieldStage) (by string, to *rival, err error) {
	_, asks, err := e.readLeader(ctx)
	if err != nil {
		return "", nil, err
	}
	names := ""
	switch {
	case !alive(asks):
	case request.HandsTo(asks.Owner):
		names = asks.Note
	case asks.Note == strconv.FormatInt(lock.Fence(), 10):
		return asks.Holder, nil, nil
	}
	if names == e.c.Holder() { // while that request is in place, the priority of others doesn't matter
		return "", nil, nil
	}
	queue, err := e.queue(ctx)
	if err != nil {
		return "", nil, err
	}
	e.forget(queue)
	id, _ := e.c.Lease(lock)
	queue = slices.DeleteFunc(queue, func(w dialect.Waiting) bool { return w.LeaseID == id })
	for _, w := range queue {
		to := rival{w, preference{w.Owner, asks.Owner}}
		if w.Holder == names && e.markYielded(to.preference, stage) {
			return asks.Holder, &to, nil
		}
	}
	slices.SortStableFunc(queue, func(a, b dialect.Waiting) int {
		return request.PriorityOf(b.Owner) - request.PriorityOf(a.Owner)
	})
	for _, w := range queue {
		to := rival{w, preference{entry: w.Owner}}
		if request.PriorityOf(w.Owner) <= e.req.Priority {
			break
		}
		if e.markYielded(to.preference, stage) {
			return w.Holder, &to, nil
		}
	}
	return "", nil, nil
}

// maxCandidates is how many candidates are read.
const maxCandidates = 1000

// queue returns the live candidates in the election's queue in the database, in the order of their
// arrival.
func (e *Election) queue(ctx context.Context) (queue []dialect.Waiting, err error) {
	if queue, err = e.c.Store().Waiting(ctx, e.req.Queue(), maxCandidates); err != nil {
		return nil, e.failed("reading the candidates of", err)
	}
	return queue, nil
}

// waits reports whether the rival is still in the queue.
func (e *Election) waits(ctx context.Context, r *rival) (bool, error) {
	queue, err := e.queue(ctx)
	return slices.ContainsFunc(queue, func(w dialect.Waiting) bool { return w.Owner == r.Owner }), err
}

// alive reports whether a live holder has that row.
func alive(row dialect.Row) bool { return row.Held && row.Lease == dialect.LeaseLive }
