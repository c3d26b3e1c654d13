package inspect

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// Snapshot is what one reading of the database has found. It is read page by page, so parts of it
// may show different moments.
type Snapshot struct {
	Locks   []Lock           // in the order of their names
	Waiters []sqllock.Waiter // in the order of their arrival
	More    bool             // Locks or Waiters have been cut off at the limit

	once  sync.Once
	found *index // made when it is first needed
}

// Read reads the locks that are held, with their waiters. With all, it also reads those that nobody
// holds and whose rows still exist. It reads up to limit locks and as many waiters; 0 means all of
// them. It blocks until the database has answered or ctx ends.
func Read(ctx context.Context, locks *sqllock.Client, all bool, limit int) (*Snapshot, error) {
	s := &Snapshot{Locks: []Lock{}}
	infos := locks.Locks(ctx)
	if all {
		infos = locks.AllLocks(ctx)
	}
	for info, err := range infos {
		if err != nil {
			return nil, err
		}
		if limit > 0 && len(s.Locks) == limit {
			s.More = true
			break
		}
		s.Locks = append(s.Locks, Of(info))
	}
	for w, err := range locks.Waiters(ctx) {
		if err != nil {
			return nil, err
		}
		if limit > 0 && len(s.Waiters) == limit {
			s.More = true
			break
		}
		s.Waiters = append(s.Waiters, w)
	}
	addWaiters(s.Locks, s.Waiters)
	return s, nil
}

// Each lists the locks that [Read] reads, without keeping them: it reads the waiters, and then the
// locks page by page during the iteration. What it needs of memory grows with the number of locks
// that are waited for, and not with the number of locks. An error ends the iteration.
func Each(ctx context.Context, locks *sqllock.Client, all bool) iter.Seq2[Lock, error] {
	return func(yield func(Lock, error) bool) {
		queues, err := readQueues(ctx, locks)
		if err != nil {
			yield(Lock{}, err)
			return
		}
		infos := locks.Locks(ctx)
		if all {
			infos = locks.AllLocks(ctx)
		}
		for info, err := range infos {
			l := Of(info)
			if queue := queues[queueOf{l.Name, l.Kind}]; queue != nil {
				l.Waiters, l.Waiting = queue.length, &queue.since
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// queueLength is how many processes wait, and since when the first of them does.
type queueLength struct {
	length int
	since  time.Time
}

func readQueues(ctx context.Context, locks *sqllock.Client) (map[queueOf]*queueLength, error) {
	queues := map[queueOf]*queueLength{}
	for w, err := range locks.Waiters(ctx) {
		if err != nil {
			return nil, err
		}
		key := queueOf{w.Name, w.Kind}
		if queues[key] == nil {
			queues[key] = &queueLength{since: w.Since}
		}
		queues[key].length++
	}
	return queues, nil
}

// queueOf is what a waiter waits for: any permit of a semaphore, either side of an RWLock.
type queueOf struct {
	name string
	kind sqllock.Kind
}

// addWaiters counts for each lock who waits for it.
func addWaiters(locks []Lock, waiters []sqllock.Waiter) {
	if len(waiters) == 0 {
		return
	}
	queues := map[queueOf][]sqllock.Waiter{}
	for _, w := range waiters {
		key := queueOf{w.Name, w.Kind}
		queues[key] = append(queues[key], w)
	}
	for i := range locks {
		queue := queues[queueOf{locks[i].Name, locks[i].Kind}]
		locks[i].Waiters = len(queue)
		if len(queue) > 0 {
			locks[i].Waiting = &queue[0].Since
		}
	}
}

// index finds the locks and the waiters of a Snapshot.
type index struct {
	named  map[string][]int            // the locks of a name
	held   map[string][]int            // the locks of a holder
	queues map[string][]sqllock.Waiter // the waiters for a name
}

func (s *Snapshot) index() *index {
	s.once.Do(func() { s.found = s.makeIndex() })
	return s.found
}

func (s *Snapshot) makeIndex() *index {
	x := &index{named: map[string][]int{}, held: map[string][]int{}, queues: map[string][]sqllock.Waiter{}}
	for i, l := range s.Locks {
		x.named[l.Name] = append(x.named[l.Name], i)
		if l.State == sqllock.StateHeld || l.State == sqllock.StateExpired {
			x.held[l.Holder] = append(x.held[l.Holder], i)
		}
	}
	for _, w := range s.Waiters {
		x.queues[w.Name] = append(x.queues[w.Name], w)
	}
	return x
}

// Select returns a Snapshot with the locks and the waiters whose names match. The Locks and Waiters
// of s must not be used any more.
func (s *Snapshot) Select(matches func(name string) bool) *Snapshot {
	return &Snapshot{
		Locks:   slices.DeleteFunc(s.Locks, func(l Lock) bool { return !matches(l.Name) }),
		Waiters: slices.DeleteFunc(s.Waiters, func(w sqllock.Waiter) bool { return !matches(w.Name) }),
		More:    s.More,
	}
}
