package dialecttest

import (
	"errors"

	"github.com/sqllock/sqllock/dialect"
)

// txShared checks many readers or one writer, if the engine has shared locks, and otherwise the
// refusal.
func txShared(s *suite) {
	exclusive := serverLock()
	shared := exclusive
	shared.Shared = true
	if !s.Powers.TxShared {
		tx := s.begin(0)
		got, err := s.d.(dialect.TxLocker).LockTx(s.ctx, tx, shared, false)
		if got || !errors.Is(err, dialect.ErrUnsupported) || s.d.Classify(err) != dialect.ClassPermanent {
			s.Errorf("LockTx of a shared lock: %t, %v (class %s), want ErrUnsupported", got, err, s.d.Classify(err))
		}
		s.takesTx(tx, exclusive)
		s.must(tx.Commit())
		return
	}
	s.run("readers and a writer", func(s *suite) {
		a, b, c := s.begin(0), s.begin(0), s.begin(0)
		s.takesTx(a, shared)
		s.takesTx(b, shared)
		s.refusedTx(c, exclusive)
		s.must(a.Commit())
		s.refusedTx(c, exclusive)
		s.must(b.Rollback())
		s.takesTx(c, exclusive)
		s.refusedTx(s.begin(0), shared)
		s.must(c.Commit())
	})
	s.run("a reader waits", func(s *suite) {
		a, b := s.begin(0), s.begin(0)
		s.takesTx(a, exclusive)
		results := s.waitTx(s.ctx, b, shared)
		s.must(a.Commit())
		if got := s.result(results); !got.got || got.err != nil {
			s.Errorf("%+v", got)
		}
		s.takesTx(s.begin(0), shared)
		s.refusedTx(s.begin(0), exclusive)
	})
	s.run("a reader becomes the writer", func(s *suite) {
		lock := serverLock()
		reader := dialect.ServerLock{Name: lock.Name, Shared: true}
		a, b := s.begin(0), s.begin(0)
		s.takesTx(a, reader)
		s.takesTx(a, lock)
		s.refusedTx(b, reader)
		s.takesTx(a, reader)
		s.refusedTx(b, reader)
		s.must(a.Commit())
		s.takesTx(b, reader)
	})
}
