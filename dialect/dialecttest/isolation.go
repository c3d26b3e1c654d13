package dialecttest

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
)

// isolation: under every level, in a transaction that has read before, a guard holds if the lock is still the owner's,
// and never if it isn't.
func isolation(s *suite) {
	s.exec("CREATE TABLE application (n INT NOT NULL)")
	for _, level := range append([]sql.IsolationLevel{sql.LevelDefault}, s.Isolation...) {
		s.run(level.String(), func(s *suite) {
			s.run("ours", func(s *suite) { guardOurs(s, level) })
			s.run("lost since it began", func(s *suite) { guardLost(s, level) })
		})
	}
}

// snapshot begins a transaction and fixes what it sees, where the level fixes that. It reads a table of the
// application's, since a read of sqllock's own would lock it under some engines' SERIALIZABLE.
func (s *suite) snapshot(level sql.IsolationLevel) *sql.Tx {
	s.Helper()
	tx := s.begin(level)
	var n int
	s.must(tx.QueryRowContext(s.ctx, "SELECT COUNT(*) FROM application").Scan(&n))
	return tx
}

func guardOurs(s *suite, level sql.IsolationLevel) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	tx := s.snapshot(level)
	if !s.SingleWriter { // heartbeats and other locks' comings and goings are nothing to a guard
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
	s.keptOut("Free", func(ctx context.Context) (bool, error) {
		freed, err := s.d.Free(ctx, []dialect.Orphan{orphan(r, fence)})
		return err == nil && freed[0], err
	})
	s.must(tx.Commit())
	if !s.free(orphan(r, fence)) {
		s.Error("Free refused after the commit")
	}
}

func guardLost(s *suite, level sql.IsolationLevel) {
	r, o := s.orphaned(request(unique("lock"), ""))
	next := request(r.Name, s.lease(long))
	tx := s.snapshot(level)
	// Where the snapshot keeps writers out, the lock can't be lost meanwhile, and the guard must hold.
	lost := false
	s.attempt("Free", func(ctx context.Context) error {
		freed, err := s.d.Free(ctx, []dialect.Orphan{o})
		lost = err == nil && freed[0]
		return err
	})
	if lost {
		s.take(next)
	}
	guarded, err := s.d.Guard(s.ctx, tx, []dialect.Claim{claim(r)})
	switch {
	case err == nil && guarded[0] == lost:
		s.Errorf("Guard answered %t, lost is %t", guarded[0], lost)
	case err != nil && !lost:
		s.must(err)
	}
	s.must(tx.Rollback())
}

// attempt allows an engine of a single writer to fail a write while somebody's transaction is open.
func (s *suite) attempt(what string, call func(context.Context) error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.patience())
	defer cancel()
	if err := call(ctx); err != nil && !s.SingleWriter {
		s.Fatalf("%s: %v (class %s)", what, err, s.d.Classify(err))
	}
}
