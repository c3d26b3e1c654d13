package integration

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

const electionName = "boss"

// electArgs asks a worker to take part in the election until "stop". Whoever leads writes one line of the ledger after the other.
type electArgs struct{ Worker int64 }

// led is what a worker tells when it begins to lead.
type led struct{ Worker, Term int64 }

var (
	_ = handle("elect", (*worker).elect)
	_ = handle("handOver", (*worker).handOver)
	_ = handle("freezeLeader", (*worker).freezeLeader)
)

// writing is held by a leader in the middle of a write.
var writing sync.Mutex

func (w *worker) elect(ctx context.Context, args electArgs) (any, error) {
	e, err := w.locks.Election(electionName)
	if err != nil {
		return nil, err
	}
	n := int64(0)
	err = e.Run(w.untilStop(ctx), func(ctx context.Context, term *sqllock.Term) error {
		w.event("leads", led{args.Worker, term.Number()})
		for pause := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-pause.C {
			n++
			w.lead(ctx, term, job{Worker: args.Worker, Job: n, Fence: term.Number()})
		}
		return nil
	})
	if errors.Is(err, sqllock.ErrNotAcquired) { // told to stop while another leads
		return nil, nil
	}
	return nil, err
}

// lead does one job of a leader. As in doJob, the guard alone keeps a late writer from doing harm.
func (w *worker) lead(ctx context.Context, term *sqllock.Term, j job) {
	writing.Lock()
	e := entry{Account: 1, Worker: j.Worker, Job: j.Job, Fence: j.Fence}
	err := e.write(context.WithoutCancel(ctx), w.target.DB, term)
	writing.Unlock()
	j.became(ctx, err)
	w.event("job", j)
}

func (w *worker) handOver(ctx context.Context, _ struct{}) (any, error) {
	e, err := w.locks.Election(electionName)
	if err != nil {
		return nil, err
	}
	return nil, e.HandOver(ctx)
}

// freezeLeader is freeze, and not in the middle of a write: its guard would keep the lock from everybody else.
func (w *worker) freezeLeader(ctx context.Context, _ struct{}) (any, error) {
	writing.Lock()
	defer writing.Unlock()
	return w.freeze(ctx, struct{}{})
}
