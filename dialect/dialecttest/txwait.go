package dialecttest

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// answer is LockTx's.
type answer struct {
	got bool
	err error
}

// waitTx asks for a lock in a goroutine.
func (s *suite) waitTx(ctx context.Context, tx *sql.Tx, lock dialect.ServerLock) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		got, err := s.d.(dialect.TxLocker).LockTx(ctx, tx, lock, true)
		answers <- answer{got, err}
	}()
	return answers
}

// hears waits for an answer that must come.
func (s *suite) hears(answers <-chan answer) answer {
	s.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(soon):
		s.Fatalf("LockTx hasn't answered within %s", soon)
		return answer{}
	}
}

// txWait: who waits gets the lock when it is free, and nothing if he gives up.
func txWait(s *suite) {
	s.run("one after the other", oneAfterTheOther)
	if s.SingleWriter { // a transaction that has begun there is the only one
		return
	}
	s.run("until it is free", func(s *suite) {
		for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			lock, a, b := serverLock(), s.begin(0), s.begin(0)
			s.takesTx(a, lock)
			answers := s.waitTx(s.ctx, b, lock)
			select {
			case got := <-answers:
				s.Fatalf("LockTx of what another has: %+v", got)
			case <-time.After(short):
			}
			s.must(end(a))
			if got := s.hears(answers); !got.got || got.err != nil {
				s.Fatalf("when the lock became free: %+v", got)
			}
			s.refusedTx(s.begin(0), lock)
			s.must(b.Commit())
		}
	})
	s.run("what is free", func(s *suite) {
		s.quickly("LockTx", func(s *suite) {
			if got := s.hears(s.waitTx(s.ctx, s.begin(0), serverLock())); !got.got || got.err != nil {
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
			if got := s.hears(s.waitTx(ctx, b, lock)); got.got || !errors.Is(got.err, context.DeadlineExceeded) {
				s.Errorf("%+v, want the ctx's error", got)
			}
		})
		b.Rollback() // fails where the connection went with the ctx
		s.must(a.Commit())
		s.takesTxSoon(lock)
	})
	s.run("deadlock", deadlock)
}

// oneAfterTheOther: a counter that only the lock protects.
func oneAfterTheOther(s *suite) {
	const workers, rounds = 6, 5
	lock := serverLock()
	var group sync.WaitGroup
	var inside atomic.Int32
	count := 0
	for range workers {
		group.Go(func() {
			for range rounds {
				_, err := settle(s, func(ctx context.Context) (bool, error) {
					tx, err := s.DB.BeginTx(ctx, nil)
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

// deadlock: each has what the other wants. One is told so, and when he gives way the other goes on.
func deadlock(s *suite) {
	locks := [2]dialect.ServerLock{serverLock(), serverLock()}
	txs := [2]*sql.Tx{s.begin(0), s.begin(0)}
	for i, tx := range txs {
		s.takesTx(tx, locks[i])
	}
	answers := [2]<-chan answer{s.waitTx(s.ctx, txs[0], locks[1]), s.waitTx(s.ctx, txs[1], locks[0])}
	var got answer
	first := 0
	select {
	case got = <-answers[0]:
	case got = <-answers[1]:
		first = 1
	case <-time.After(soon):
		s.Fatalf("a deadlock isn't found within %s", soon)
	}
	victim, told := first, got
	if got.err == nil { // he was told in the same moment
		victim, told = 1-first, s.hears(answers[1-first])
	} else {
		s.must(txs[victim].Rollback())
		got = s.hears(answers[1-first])
	}
	wanted := locks[1-victim].Name
	if told.got || !errors.Is(told.err, dialect.ErrDeadlock) || !strings.Contains(told.err.Error(), wanted) {
		s.Errorf("the victim: %t, %v; want ErrDeadlock that names the lock %q", told.got, told.err, wanted)
	}
	if !got.got || got.err != nil {
		s.Errorf("who was waited for: %t, %v", got.got, got.err)
	}
	s.must(txs[1-victim].Commit())
	s.takesTxSoon(locks[victim])
}
