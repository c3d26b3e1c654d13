package dialecttest

import (
	"context"
	"database/sql"
	"errors"

	"github.com/sqllock/sqllock/dialect"
)

// lockTx takes a lock in a transaction, or is refused.
func (s *suite) lockTx(tx Tx, lock dialect.ServerLock) bool {
	s.Helper()
	got, err := s.d.(dialect.TxLocker).LockTx(s.ctx, tx, lock, false)
	s.must(err)
	return got
}

func (s *suite) takesTx(tx Tx, lock dialect.ServerLock) {
	s.Helper()
	if !s.lockTx(tx, lock) {
		s.Fatalf("the lock %q is free, and was refused", lock.Name)
	}
}

func (s *suite) refusedTx(tx Tx, lock dialect.ServerLock) {
	s.Helper()
	s.quickly("a refusal", func(s *suite) {
		if s.lockTx(tx, lock) {
			s.Fatalf("the lock %q is another's, and was given", lock.Name)
		}
	})
}

// takesTxSoon takes, in a transaction of its own, a lock that the server releases by itself.
func (s *suite) takesTxSoon(lock dialect.ServerLock) {
	s.Helper()
	s.eventually("the lock becomes free", func() bool {
		tx := s.begin(0)
		defer tx.Rollback()
		return s.lockTx(tx, lock)
	})
}

// transactions checks that a lock is one transaction's until that ends, and that a refused
// transaction remains usable.
func transactions(s *suite) {
	s.run("no transaction", func(s *suite) {
		for _, wait := range []bool{false, true} {
			got, err := s.d.(dialect.TxLocker).LockTx(s.ctx, nil, serverLock(), wait)
			if got || !errors.Is(err, dialect.ErrInvalid) || s.d.Classify(err) != dialect.ClassPermanent {
				s.Errorf("LockTx returned %t, %v", got, err)
			}
		}
	})
	s.run("one that has ended", func(s *suite) {
		tx := s.begin(0)
		s.must(tx.Rollback())
		if got, err := s.d.(dialect.TxLocker).LockTx(s.ctx, tx, serverLock(), false); got ||
			!errors.Is(err, sql.ErrTxDone) {
			s.Errorf("LockTx returned %t, %v", got, err)
		}
	})
	s.run("again", func(s *suite) {
		lock, tx := serverLock(), s.begin(0)
		for range 3 {
			s.takesTx(tx, lock)
		}
		s.must(tx.Commit())
		s.takesTx(s.begin(0), lock)
	})
	s.run("the transaction's own writes", func(s *suite) {
		id, lock, tx := s.lease(long), serverLock(), s.begin(0)
		s.takesTx(tx, lock)
		s.write(tx, id)
		s.must(tx.Commit())
		s.written(id, 1)
	})
	if s.SingleWriter {
		s.run("one writer", oneWriter)
		return
	}
	s.run("until the commit", func(s *suite) { untilTheEnd(s, 0, Tx.Commit) })
	s.run("until the rollback", func(s *suite) { untilTheEnd(s, 0, Tx.Rollback) })
	// it goes back to its pool, and may serve the next caller
	s.run("not with the connection", func(s *suite) {
		lock, a := serverLock(), s.begin(0)
		s.takesTx(a, lock)
		s.must(a.Commit())
		pool := s.pools().Open(s.T)
		defer pool.Close()
		b, err := pool.Begin(s.ctx, 0)
		s.must(err)
		defer b.Rollback()
		s.takesTx(b, lock)
	})
	for _, level := range s.Isolation {
		s.run(level.String(), func(s *suite) { untilTheEnd(s, level, Tx.Commit) })
	}
	s.run("every name is a lock of its own", func(s *suite) {
		for half, other := range halves(names()) { // a transaction is granted again what it has
			a, b := s.begin(0), s.begin(0)
			for _, name := range half {
				s.takesTx(a, dialect.ServerLock{Name: name})
			}
			for _, name := range other {
				s.takesTx(b, dialect.ServerLock{Name: name})
			}
			s.refusedTx(a, dialect.ServerLock{Name: other[0]})
			s.refusedTx(b, dialect.ServerLock{Name: half[0]})
			s.must(a.Rollback())
			s.must(b.Rollback())
		}
	})
}

// untilTheEnd checks that a refused transaction remains usable and can commit.
func untilTheEnd(s *suite, level sql.IsolationLevel, end func(Tx) error) {
	id, lock := s.lease(long), serverLock()
	a, b := s.begin(level), s.begin(level)
	s.takesTx(a, lock)
	s.refusedTx(b, lock)
	s.write(b, id)
	s.refusedTx(b, lock)
	s.must(b.Commit())
	s.written(id, 1)
	s.refusedTx(s.begin(level), lock)
	s.must(end(a))
	c := s.begin(level)
	s.takesTx(c, lock)
	s.refusedTx(s.begin(level), lock)
}

// write is a write of the caller's own, in its transaction.
func (s *suite) write(tx Tx, id string) {
	s.Helper()
	_, err := tx.Exec(s.ctx, "UPDATE sqllock_leases SET ttl = ttl + 1 WHERE id = '"+id+"'")
	s.must(err)
}

// written checks that n writes to that lease were committed.
func (s *suite) written(id string, n int64) {
	s.Helper()
	var ttl int64
	s.must(s.direct().QueryRowContext(s.ctx, "SELECT ttl FROM sqllock_leases WHERE id = '"+id+"'").Scan(&ttl))
	if got := ttl - long.Microseconds(); got != n {
		s.Errorf("%d writes were committed, want %d", got, n)
	}
}

// oneWriter checks that any name is the database's single write lock. Another transaction doesn't
// even begin, or gets no lock.
func oneWriter(s *suite) {
	for _, end := range []func(Tx) error{Tx.Commit, Tx.Rollback} {
		tx := s.begin(0)
		s.takesTx(tx, serverLock())
		s.otherWriter(serverLock())
		s.must(end(tx))
		s.takesTxSoon(serverLock())
	}
}

// otherWriter tries to take a lock beside another transaction's.
func (s *suite) otherWriter(lock dialect.ServerLock) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, atOnce)
	defer cancel()
	tx, err := s.beginAs(ctx, 0)
	if err != nil {
		return
	}
	defer tx.Rollback()
	if got, err := s.d.(dialect.TxLocker).LockTx(ctx, tx, lock, false); got || err != nil {
		s.Errorf("beside another transaction's lock, LockTx returned %t, %v", got, err)
	}
}
