package dialecttest

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
)

// isolation checks, on every isolation level and in a transaction that has read before, that a
// guard holds if the lock is still the owner's, and never otherwise.
func isolation(s *suite) {
	s.exec("CREATE TABLE application (n INT NOT NULL PRIMARY KEY)")
	for _, level := range append([]sql.IsolationLevel{sql.LevelDefault}, s.Isolation...) {
		s.run(level.String(), func(s *suite) {
			s.run("ours", func(s *suite) { guardOurs(s, level) })
			s.run("lost since it began", func(s *suite) { guardLost(s, level) })
		})
	}
}

// snapshot begins a transaction and fixes its snapshot, if the level has one. It reads a table of
// the application's, since a read of sqllock's own would lock that under some engines'
// SERIALIZABLE.
func (s *suite) snapshot(level sql.IsolationLevel) Tx {
	s.Helper()
	tx := s.begin(level)
	_, err := tx.Exec(s.ctx, "SELECT COUNT(*) FROM application") // and so is never prepared
	s.must(err)
	return tx
}

func guardOurs(s *suite, level sql.IsolationLevel) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	tx := s.snapshot(level)
	if !s.SingleWriter { // heartbeats and changes of other locks don't affect a guard
		s.renew(r.LeaseID)
		other := request(unique("other"), r.LeaseID)
		s.take(other)
		s.release(claim(other))
		s.drop(s.lease(long))
	}
	if got := s.guard(tx, claim(r)); !got[0] {
		s.Fatal("Guard refused its owner")
	}
	if !s.SingleWriter {
		s.drop(r.LeaseID)
	}
	s.excluded("Free", func(ctx context.Context) (bool, error) {
		freed, err := s.d.Free(ctx, []dialect.DeadHolder{deadHolder(r, fence)})
		return err == nil && freed[0], err
	})
	s.must(tx.Commit())
	if !s.free(deadHolder(r, fence)) {
		s.Error("Free refused after the commit")
	}
}

func guardLost(s *suite, level sql.IsolationLevel) {
	r, o := s.holderDied(request(unique("lock"), ""))
	next := request(r.Name, s.lease(long))
	tx := s.snapshot(level)
	// If the snapshot excludes writers, the lock can't be lost meanwhile, and the guard must hold.
	lost := false
	s.attempt("Free", func(ctx context.Context) error {
		freed, err := s.d.Free(ctx, []dialect.DeadHolder{o})
		lost = err == nil && freed[0]
		return err
	})
	if lost {
		s.take(next)
	}
	guarded, err := s.d.Guard(s.ctx, tx, []dialect.Claim{claim(r)})
	switch {
	case err == nil && guarded[0] == lost:
		s.Errorf("Guard returned %t, lost is %t", guarded[0], lost)
	case err != nil && !lost:
		s.must(err)
	}
	s.must(tx.Rollback())
}

// attempt allows an engine with a single writer to fail a write while a transaction is open.
func (s *suite) attempt(what string, call func(context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.guardTimeout())
	defer cancel()
	if err := call(ctx); err != nil && !s.SingleWriter {
		s.Fatalf("%s: %v (class %s)", what, err, s.d.Classify(err))
	}
}
