package integration

import (
	"context"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock/election"
)

const electionName = "boss"

// electArgs asks a worker to take part in the election until "stop". While it leads, it writes one
// line of the ledger after the other.
type electArgs struct {
	Worker   int64
	Priority int
}

// led is the value of the event that a worker sends when it begins to lead.
type led struct{ Worker, Term int64 }

var (
	_ = handle("elect", (*worker).elect)
	_ = handle("handOver", (*worker).handOver)
	_ = handle("handOverTo", (*worker).handOverTo)
	_ = handle("freezeBetweenWrites", (*worker).freezeBetweenWrites)
)

// writing is held for reading while a leader, or a worker of a soak, is in the middle of a write.
var writing sync.RWMutex

func (w *worker) elect(ctx context.Context, args electArgs) (any, error) {
	e, err := election.New(w.locks, electionName,
		election.Priority(args.Priority), election.OnQueued(func() { w.event("queued", args.Worker) }))
	if err != nil {
		return nil, err
	}
	n := int64(0)
	return nil, e.Run(w.untilStop(ctx), func(ctx context.Context, term *election.Term) error {
		w.event("leads", led{args.Worker, term.Number()})
		for next := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-next.C {
			n++
			w.lead(ctx, term, 1, job{Worker: args.Worker, Job: n, Fence: term.Number()})
		}
		return nil
	})
}

// lead does one job of a leader. As in doJob, only the guard keeps a late writer from doing harm.
func (w *worker) lead(ctx context.Context, term *election.Term, account int64, j job) {
	writing.RLock()
	e := entry{Account: account, Worker: j.Worker, Job: j.Job, Fence: j.Fence}
	err := e.write(context.WithoutCancel(ctx), w.target.DB, term)
	writing.RUnlock()
	j.became(ctx, err)
	w.event("job", j)
}

func (w *worker) handOver(ctx context.Context, _ struct{}) (any, error) {
	e, err := election.New(w.locks, electionName)
	if err != nil {
		return nil, err
	}
	return nil, e.HandOver(ctx)
}

// handOverTo hands over to holder, as a deploy does. On a machine that stalls for seconds an
// attempt may fail, so handOverTo makes up to three.
func (w *worker) handOverTo(ctx context.Context, holder string) (any, error) {
	e, err := election.New(w.locks, electionName)
	if err != nil {
		return nil, err
	}
	for range 3 {
		trying, cancel := context.WithTimeout(ctx, stepTimeout/4)
		err = e.HandOverTo(trying, holder)
		cancel()
		if err == nil {
			break
		}
	}
	return nil, err
}

// freezeBetweenWrites is freeze at a moment when no write is under way. Frozen in the middle of a
// write, its guard would keep the lock from every other process.
func (w *worker) freezeBetweenWrites(ctx context.Context, _ struct{}) (any, error) {
	writing.Lock()
	defer writing.Unlock()
	return w.freeze(ctx, struct{}{})
}
