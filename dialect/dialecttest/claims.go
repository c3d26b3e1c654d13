package dialecttest

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// claimTx claims a name in a transaction.
func (s *suite) claimTx(tx Tx, name string) dialect.Outcome {
	s.Helper()
	results, err := s.d.ClaimTx(s.ctx, tx, []string{name})
	s.must(err)
	return results[0]
}

// claims claims a name without an outcome for the transaction.
func (s *suite) claims(tx Tx, name string) {
	s.Helper()
	if o := s.claimTx(tx, name); o.Kept {
		s.Fatalf("ClaimTx returned %+v, want no outcome", o)
	}
}

func (s *suite) rememberTx(tx Tx, d dialect.Done) dialect.Outcome {
	s.Helper()
	results, err := s.d.RememberTx(s.ctx, tx, []dialect.Done{d})
	s.must(err)
	return results[0]
}

// claims checks that an outcome exists once its transaction has committed, and that one transaction
// at a time has a name.
func claims(s *suite) {
	s.exec("CREATE TABLE application (n INT NOT NULL PRIMARY KEY)")
	for _, level := range append([]sql.IsolationLevel{sql.LevelDefault}, s.Isolation...) {
		s.run(level.String(), func(s *suite) {
			s.run("with the commit", func(s *suite) { rememberedByCommit(s, level) })
			s.run("not without it", func(s *suite) { unsettled(s, level) })
			s.run("remembered since it began", func(s *suite) { rememberedSince(s, level) })
			s.run("others wait", func(s *suite) {
				for _, again := range []bool{false, true} {
					claimWaits(s, level, again, Tx.Commit, true)
					claimWaits(s, level, again, Tx.Commit, false)
					claimWaits(s, level, again, Tx.Rollback, true)
				}
			})
			s.run("once", func(s *suite) { claimedOnce(s, level) })
		})
	}
	s.run("not claimed", func(s *suite) {
		d, kept := done(unique("key")), done(unique("kept"))
		s.remember(kept)
		tx := s.begin(0)
		other := done(kept.Name)
		if a, b := s.rememberTx(tx, d), s.rememberTx(tx, other); a.Kept || b.Kept {
			s.Errorf("RememberTx of what wasn't claimed returned %+v and %+v", a, b)
		}
		s.must(tx.Commit())
		s.forgotten(d.Name)
		s.remembered(kept)
	})
	s.run("Remember waits", rememberWaits)
	s.run("several at once", func(s *suite) {
		a, b, c := done(unique("c")), done(unique("b")), done(unique("a"))
		s.remember(b)
		tx := s.begin(0)
		got := ask(s, func(ctx context.Context, names []string) ([]dialect.Outcome, error) {
			return s.d.ClaimTx(ctx, tx, names)
		},
			a.Name, b.Name, c.Name)
		if got[0].Kept || got[2].Kept {
			s.Errorf("ClaimTx returned %+v", got)
		}
		s.is(got[1], b)
		ask(s, func(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
			return s.d.RememberTx(ctx, tx, done)
		}, a, c)
		s.must(tx.Commit())
		s.remembered(a)
		s.remembered(c)
	})
}

func rememberedByCommit(s *suite, level sql.IsolationLevel) {
	d := done(unique("key"))
	tx := s.begin(level)
	s.claims(tx, d.Name)
	s.is(s.rememberTx(tx, d), d)
	s.is(s.claimTx(tx, d.Name), d) // its own
	s.must(tx.Commit())
	s.remembered(d)
	again := s.begin(level)
	s.is(s.claimTx(again, d.Name), d)
	s.must(again.Commit())
	s.remembered(d)

	d = done(unique("brief"))
	d.Keep = brief
	tx = s.begin(level)
	s.claims(tx, d.Name)
	s.is(s.rememberTx(tx, d), d)
	s.must(tx.Commit())
}

// unsettled checks that a claim without an outcome, or one that was rolled back, isn't remembered,
// even if the name once had an outcome.
func unsettled(s *suite, level sql.IsolationLevel) {
	old := done(unique("old"))
	old.Keep = brief
	s.remember(old)
	s.eventually("forgotten", func() bool { return !s.recall(old.Name).Kept })
	for _, name := range []string{unique("key"), old.Name} {
		tx := s.begin(level)
		s.claims(tx, name)
		s.rememberTx(tx, done(name))
		s.must(tx.Rollback())
		s.forgotten(name)
		tx = s.begin(level)
		s.claims(tx, name)
		s.must(tx.Commit())
		s.forgotten(name)
		d := done(name)
		s.is(s.remember(d), d)
	}
}

// rememberedSince checks that a transaction that has read before doesn't miss an outcome that was
// remembered since.
func rememberedSince(s *suite, level sql.IsolationLevel) {
	d := done(unique("key"))
	tx := s.snapshot(level)
	remembered := false
	s.attempt("Remember", func(ctx context.Context) error {
		o, err := s.d.Remember(ctx, []dialect.Done{d})
		remembered = err == nil && o[0].Kept
		return err
	})
	results, err := s.d.ClaimTx(s.ctx, tx, []string{d.Name})
	switch {
	case err == nil && results[0].Kept != remembered:
		s.Errorf("ClaimTx returned %+v, and remembered is %t", results[0], remembered)
	case err != nil && s.d.Classify(err) != dialect.ClassTransient:
		s.must(err)
	}
	s.must(tx.Rollback())
}

// claimWaits checks that the second claim is granted when the first one's transaction has ended,
// and that it sees that transaction's outcome. again means that the name was claimed before without
// an outcome.
func claimWaits(s *suite, level sql.IsolationLevel, again bool, end func(Tx) error, remembered bool) {
	d := done(unique("key"))
	if again {
		tx := s.begin(level)
		s.claims(tx, d.Name)
		s.must(tx.Commit())
	}
	tx := s.begin(level)
	s.claims(tx, d.Name)
	got := make(chan dialect.Outcome, 1)
	go func() {
		got <- s.transact(level, func(tx Tx) (dialect.Outcome, error) {
			results, err := s.d.ClaimTx(s.ctx, tx, []string{d.Name})
			if err != nil {
				return dialect.Outcome{}, err
			}
			return results[0], nil
		})
	}()
	select {
	case <-got:
		s.Fatal("the second claim didn't wait")
	case <-time.After(100 * time.Millisecond):
	}
	if remembered {
		s.rememberTx(tx, d)
	}
	s.must(end(tx))
	kept := s.recall(d.Name).Kept
	if o := <-got; o.Kept != kept {
		s.Errorf("the second claim returned %+v; kept is %t", o, kept)
	}
}

// transact calls f in a transaction, and repeats that while the error is Transient.
func (s *suite) transact(level sql.IsolationLevel, f func(Tx) (dialect.Outcome, error)) dialect.Outcome {
	o, err := retryTransient(s, func(ctx context.Context) (dialect.Outcome, error) {
		tx, err := s.beginAs(ctx, level)
		if err != nil {
			return dialect.Outcome{}, err
		}
		defer tx.Rollback()
		o, err := f(tx)
		if err != nil {
			return o, err
		}
		return o, tx.Commit()
	})
	s.completed(err)
	return o
}

// claimedOnce checks that of many claims of one name, again and again, one does the work.
func claimedOnce(s *suite, level sql.IsolationLevel) {
	const callers, keys = 6, 4
	s.exec("DELETE FROM application")
	names := make([]string, keys)
	for i := range names {
		names[i] = unique("key")
	}
	var all sync.WaitGroup
	var works atomic.Int64 // each work has a row of its own, so that the table can have a key
	for range callers {
		all.Go(func() {
			for _, name := range names {
				d := done(name)
				s.transact(level, func(tx Tx) (dialect.Outcome, error) {
					results, err := s.d.ClaimTx(s.ctx, tx, []string{name})
					if err != nil || results[0].Kept {
						return dialect.Outcome{}, err
					}
					work := fmt.Sprintf("INSERT INTO application (n) VALUES (%d)", works.Add(1))
					if _, err := tx.Exec(s.ctx, work); err != nil {
						return dialect.Outcome{}, err
					}
					_, err = s.d.RememberTx(s.ctx, tx, []dialect.Done{d})
					return dialect.Outcome{}, err
				})
			}
		})
	}
	all.Wait()
	var n int
	s.must(s.direct().QueryRowContext(s.ctx, "SELECT COUNT(*) FROM application").Scan(&n))
	if n != keys {
		s.Errorf("the work for %d keys was done %d times", keys, n)
	}
}

// rememberWaits checks that Remember waits for a claim, and finds its outcome.
func rememberWaits(s *suite) {
	d, other := done(unique("key")), done(unique("other"))
	other.Name = d.Name
	tx := s.begin(0)
	s.claims(tx, d.Name)
	got := make(chan dialect.Outcome, 1)
	go func() {
		results, err := retryTransient(s, func(ctx context.Context) ([]dialect.Outcome, error) {
			return s.d.Remember(ctx, []dialect.Done{other})
		})
		if !s.completed(err) {
			results = make([]dialect.Outcome, 1)
		}
		got <- results[0]
	}()
	select {
	case o := <-got:
		s.Fatalf("Remember didn't wait: %+v", o)
	case <-time.After(100 * time.Millisecond):
	}
	s.rememberTx(tx, d)
	s.must(tx.Commit())
	s.is(<-got, d)
}
