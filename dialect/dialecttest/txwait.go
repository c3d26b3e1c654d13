package dialecttest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// lockResult is LockTx's result.
type lockResult struct {
	got bool
	err error
}

// waitTx calls LockTx in a goroutine.
func (s *suite) waitTx(ctx context.Context, tx Tx, lock dialect.ServerLock) <-chan lockResult {
	results := make(chan lockResult, 1)
	go func() {
		got, err := s.d.(dialect.TxLocker).LockTx(ctx, tx, lock, true)
		results <- lockResult{got, err}
	}()
	return results
}

// result waits for a result that must come.
func (s *suite) result(results <-chan lockResult) lockResult {
	s.Helper()
	select {
	case a := <-results:
		return a
	case <-time.After(soon):
		s.Fatalf("LockTx hasn't returned within %s", soon)
		return lockResult{}
	}
}

// txWait checks that a waiting transaction gets the lock when it becomes free, and nothing if it
// gives up.
func txWait(s *suite) {
	s.run("one after the other", oneAfterTheOther)
	if s.SingleWriter { // a transaction that has begun there is the only one
		return
	}
	s.run("until it is free", func(s *suite) {
		for _, end := range []func(Tx) error{Tx.Commit, Tx.Rollback} {
			lock, a, b := serverLock(), s.begin(0), s.begin(0)
			s.takesTx(a, lock)
			results := s.waitTx(s.ctx, b, lock)
			select {
			case got := <-results:
				s.Fatalf("LockTx of what another has: %+v", got)
			case <-time.After(short):
			}
			s.must(end(a))
			if got := s.result(results); !got.got || got.err != nil {
				s.Fatalf("when the lock became free: %+v", got)
			}
			s.refusedTx(s.begin(0), lock)
			s.must(b.Commit())
		}
	})
	s.run("what is free", func(s *suite) {
		s.quickly("LockTx", func(s *suite) {
			if got := s.result(s.waitTx(s.ctx, s.begin(0), serverLock())); !got.got || got.err != nil {
				s.Errorf("%+v", got)
			}
		})
	})
	s.run("a ctx that ends", func(s *suite) {
		lock, a, b := serverLock(), s.begin(0), s.begin(0)
		s.takesTx(a, lock)
		ctx, cancel := context.WithTimeout(s.ctx, short)
		defer cancel()
		s.quickly("giving up", func(s *suite) {
			if got := s.result(s.waitTx(ctx, b, lock)); got.got || !errors.Is(got.err, context.DeadlineExceeded) {
				s.Errorf("%+v, want the ctx's error", got)
			}
		})
		b.Rollback() // fails if the connection ended with the ctx
		s.must(a.Commit())
		s.takesTxSoon(lock)
	})
	s.run("deadlock", deadlock)
}

// oneAfterTheOther uses a counter that only the lock protects.
func oneAfterTheOther(s *suite) {
	const workers, rounds = 6, 5
	lock := serverLock()
	var group sync.WaitGroup
	var inside atomic.Int32
	count := 0
	for range workers {
		group.Go(func() {
			for range rounds {
				_, err := retryTransient(s, func(ctx context.Context) (bool, error) {
					tx, err := s.beginAs(ctx, 0)
					if err != nil {
						return false, err
					}
					defer tx.Rollback()
					got, err := s.d.(dialect.TxLocker).LockTx(ctx, tx, lock, true)
					if err != nil {
						return false, err
					}
					if !got || inside.Add(1) != 1 {
						s.Errorf("granted %t beside %d others", got, inside.Load()-1)
					}
					count++
					inside.Add(-1)
					return true, tx.Commit()
				})
				if err != nil {
					s.Errorf("%v (class %s)", err, s.d.Classify(err))
				}
			}
		})
	}
	group.Wait()
	if count != workers*rounds {
		s.Errorf("counted %d, want %d", count, workers*rounds)
	}
}

// deadlock lets each transaction wait for the other's lock. One gets an error, and when it rolls
// back the other continues.
func deadlock(s *suite) {
	locks := [2]dialect.ServerLock{serverLock(), serverLock()}
	txs := [2]Tx{s.begin(0), s.begin(0)}
	for i, tx := range txs {
		s.takesTx(tx, locks[i])
	}
	results := [2]<-chan lockResult{s.waitTx(s.ctx, txs[0], locks[1]), s.waitTx(s.ctx, txs[1], locks[0])}
	var got lockResult
	first := 0
	select {
	case got = <-results[0]:
	case got = <-results[1]:
		first = 1
	case <-time.After(soon):
		s.Fatalf("a deadlock isn't found within %s", soon)
	}
	victim, notified := first, got
	if got.err == nil { // it got its error at the same moment
		victim, notified = 1-first, s.result(results[1-first])
	} else {
		s.must(txs[victim].Rollback())
		got = s.result(results[1-first])
	}
	wanted := locks[1-victim].Name
	if notified.got || !errors.Is(notified.err, dialect.ErrDeadlock) ||
		!strings.Contains(notified.err.Error(), wanted) {
		s.Errorf("the victim: %t, %v; want ErrDeadlock that names the lock %q", notified.got, notified.err, wanted)
	}
	if !got.got || got.err != nil {
		s.Errorf("the other transaction: %t, %v", got.got, got.err)
	}
	s.must(txs[1-victim].Commit())
	s.takesTxSoon(locks[victim])
}
