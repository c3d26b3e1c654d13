package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/once"
)

// soakArgs asks a worker for work under all kinds of locks.
type soakArgs struct {
	Worker, Routines int64
	For              time.Duration
	Round            int
	Seed             uint64
	Server           bool // whether the database has a server, and so session locks and locks in transactions
}

// The accounts of the ledger in a soak. Each is written under the locks of one kind, but for those
// from 1 on: a lock, a fair lock and a set of locks exclude each other.
const (
	soakAccounts  = 3
	soakRWAccount = 10
	soakTxAccount = 11
	soakElection  = 12
	soakPermits   = 20 // and from there on, one for each permit
)

// soakRead is the value of the event that a worker sends after it has read an account twice under a
// shared lock, the second time in a guarded transaction.
type soakRead struct {
	Overlap bool // whether somebody wrote in between
}

// soakOnce is the value of the event that a worker sends when it has an outcome of once.Do.
type soakOnce struct{ Key, Result string }

// soakSample is what a worker occupies.
type soakSample struct {
	RSS, Heap   int64 // bytes; RSS is 0 where there is no /proc
	Goroutines  int64
	Connections int64 // of its pool
	Held        int64 // by its Client, of all kinds
}

var (
	_ = handle("soak", (*worker).soak)
	_ = handle("sample", (*worker).sample)
)

// soak works for as long as args say, and returns when everything is released.
func (w *worker) soak(ctx context.Context, args soakArgs) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, args.For)
	defer cancel()
	var routines sync.WaitGroup
	for r := range args.Routines {
		s := &soaker{worker: w, args: args, routine: r + 1}
		s.rand = mathrand.New(mathrand.NewPCG(args.Seed, uint64(s.routine)))
		routines.Go(func() {
			for ctx.Err() == nil {
				s.step(ctx)
			}
		})
	}
	routines.Go(func() { w.campaign(ctx, args) })
	routines.Wait()
	return nil, nil
}

// soaker is a goroutine that works in a soak.
type soaker struct {
	*worker
	args    soakArgs
	rand    *mathrand.Rand
	routine int64
	last    int64 // its last job
}

// step does one piece of work under a lock of a random kind.
func (s *soaker) step(ctx context.Context) {
	switch n := s.rand.IntN(20); {
	case n < 6:
		s.guarded(ctx, s.plain())
	case n < 8:
		s.guarded(ctx, s.plain(sqllock.Fair()))
	case n < 10:
		s.guarded(ctx, s.set)
	case n < 12:
		s.guarded(ctx, s.permit)
	case n < 14:
		s.guarded(ctx, s.writer)
	case n < 16:
		s.reader(ctx)
	case n < 17:
		s.once(ctx)
	case s.args.Server && n < 18:
		s.session(ctx)
	case s.args.Server:
		s.inTx(ctx)
	}
}

// grant is a lock that was acquired for writing an account.
type grant struct {
	account, fence int64
	lock           held
}

func grantOf(account int64, lock *sqllock.Lock, err error) (grant, error) {
	if err != nil {
		return grant{}, err
	}
	return grant{account, lock.Fence(), lock}, nil
}

func (s *soaker) plain(opts ...sqllock.Option) func(context.Context) (grant, error) {
	return func(ctx context.Context) (grant, error) {
		account := 1 + s.rand.Int64N(soakAccounts)
		lock, err := s.locks.Acquire(ctx, fmt.Sprintf("account/%d", account), opts...)
		return grantOf(account, lock, err)
	}
}

func (s *soaker) set(ctx context.Context) (grant, error) {
	account := 1 + s.rand.Int64N(soakAccounts)
	fence, set, err := s.takeSet(ctx, account, soakAccounts)
	return grant{account, fence, set}, err
}

func (s *soaker) permit(ctx context.Context) (grant, error) {
	lock, err := s.locks.Semaphore("permits", 2).Acquire(ctx)
	if err != nil {
		return grant{}, err
	}
	return grantOf(soakPermits+int64(lock.Permit()), lock, nil)
}

func (s *soaker) writer(ctx context.Context) (grant, error) {
	lock, err := s.locks.RWLock("shared").Acquire(ctx)
	return grantOf(soakRWAccount, lock, err)
}

// guarded takes a lock and does a job under it, as doJob does.
func (s *soaker) guarded(ctx context.Context, take func(context.Context) (grant, error)) {
	g, err := take(ctx)
	if errors.Is(err, sqllock.ErrNotAcquired) {
		return
	}
	j := s.job()
	if err == nil {
		err = s.writeUnder(ctx, &j, g.account, g.fence, g.lock, func(ctx context.Context, e entry) error {
			return s.write(ctx, e, g.lock)
		})
	}
	j.became(ctx, err)
	s.event("job", j)
}

// write is entry.write, but now and then works for a while between reading and writing. A process
// that is frozen meanwhile has lost its lock when it goes on, and only the guard keeps it from
// writing.
func (s *soaker) write(ctx context.Context, e entry, lock guard) error {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	e, err := e.next(ctx, s.target.DB)
	if err != nil {
		return err
	}
	if s.rand.IntN(2) == 0 {
		time.Sleep(time.Duration(s.rand.Int64N(int64(40 * time.Millisecond))))
	}
	writing.RLock()
	defer writing.RUnlock()
	return e.writeNext(ctx, s.target.DB, lock)
}

func (s *soaker) job() job {
	s.last++
	return job{Worker: s.args.Worker, Routine: s.routine, Job: s.last}
}

// reader reads an account twice under a shared lock. The guard of the second reading says that the
// lock was held all the time, so nobody may have written in between.
func (s *soaker) reader(ctx context.Context) {
	lock, err := s.locks.RWLock("shared").AcquireShared(ctx)
	if err != nil {
		return
	}
	defer func() { _ = lock.Release(ctx) }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementLimit)
	defer cancel()
	first, err := entry{Account: soakRWAccount}.next(ctx, s.target.DB)
	if err != nil {
		return
	}
	writing.RLock()
	defer writing.RUnlock()
	tx, err := s.target.DB.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	defer tx.Rollback()
	if lock.Guard(ctx, tx) != nil {
		return
	}
	second, err := entry{Account: soakRWAccount}.next(ctx, tx)
	if err == nil && tx.Commit() == nil {
		s.event("read", soakRead{Overlap: first.Line != second.Line})
	}
}

// once does work that several workers want done at the same time.
func (s *soaker) once(ctx context.Context) {
	key := fmt.Sprintf("%d/%d", s.args.Round, time.Now().UnixMilli()/250)
	work := func(context.Context, *sqllock.Lock) ([]byte, error) { return []byte(rand.Text()), nil }
	if outcome, err := once.Do(ctx, s.locks, key, work, once.Keep(soakKeep)); err == nil {
		s.event("once", soakOnce{key, string(bytes.Clone(outcome.Result))})
	}
}

// session takes a session lock. It has no guard, so nothing is written under it.
func (s *soaker) session(ctx context.Context) {
	lock, err := s.locks.Session("session").Acquire(ctx)
	if err != nil {
		return
	}
	err = lock.Release(ctx)
	s.event("session", err == nil)
}

// inTx does a job under a lock that ends with its transaction. The lock has no fence, so the line's
// number stands for it.
func (s *soaker) inTx(ctx context.Context) {
	j := s.job()
	err := s.writeUnderTx(ctx, &j)
	if errors.Is(err, sqllock.ErrNotAcquired) {
		s.last--
		return
	}
	j.became(ctx, err)
	s.event("job", j)
}

func (s *soaker) writeUnderTx(ctx context.Context, j *job) error {
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementLimit)
	defer cancel()
	tx, err := s.target.DB.BeginTx(writing, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := s.locks.AcquireTx(writing, tx, "tx"); err != nil {
		return err
	}
	e := entry{Account: soakTxAccount, Worker: j.Worker, Routine: j.Routine, Job: j.Job}
	if e, err = e.next(writing, tx); err != nil {
		return err
	}
	e.Fence = e.Line
	return e.writeIn(writing, tx, unguarded{})
}

// unguarded is the guard of a transaction that has its lock itself.
type unguarded struct{}

func (unguarded) Guard(context.Context, sqllock.Tx) error { return nil }

// campaign takes part in an election again and again. While it leads, it writes lines of the
// ledger.
func (w *worker) campaign(ctx context.Context, args soakArgs) {
	for n := int64(0); ctx.Err() == nil; {
		term, cancel := context.WithTimeout(ctx, 2*time.Second)
		e, err := election.New(w.locks, electionName)
		if err == nil {
			_ = e.Run(term, func(ctx context.Context, term *election.Term) error {
				w.event("leads", led{args.Worker, term.Number()})
				for next := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-next.C {
					n++
					w.lead(ctx, term, soakElection, job{Worker: args.Worker, Job: n, Fence: term.Number()})
				}
				return nil
			})
		}
		cancel()
	}
}

// sample returns what this process occupies after a collection of garbage.
func (w *worker) sample(context.Context, struct{}) (any, error) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := soakSample{
		Heap: int64(m.HeapInuse), Goroutines: int64(runtime.NumGoroutine()),
		Connections: int64(w.target.DB.Stats().OpenConnections),
	}
	for _, n := range w.locks.Stats().Held {
		s.Held += int64(n)
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64
		if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
			return nil, err
		}
		s.RSS = resident * int64(os.Getpagesize())
	}
	return s, nil
}
