package dialecttest

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// claimTx asks for a name in a transaction.
func (s *suite) claimTx(tx *sql.Tx, name string) dialect.Outcome {
	s.Helper()
	answers, err := s.d.ClaimTx(s.ctx, tx, []string{name})
	s.must(err)
	return answers[0]
}

// claims makes a name the transaction's that nothing is remembered of.
func (s *suite) claims(tx *sql.Tx, name string) {
	s.Helper()
	if o := s.claimTx(tx, name); o.Kept {
		s.Fatalf("ClaimTx answered %+v, want that nothing is remembered", o)
	}
}

func (s *suite) settleTx(tx *sql.Tx, d dialect.Done) dialect.Outcome {
	s.Helper()
	answers, err := s.d.SettleTx(s.ctx, tx, []dialect.Done{d})
	s.must(err)
	return answers[0]
}

// claims: the outcome is there when the transaction has committed, and one transaction at a time has a name.
func claims(s *suite) {
	s.exec("CREATE TABLE application (n INT NOT NULL)")
	for _, level := range append([]sql.IsolationLevel{sql.LevelDefault}, s.Isolation...) {
		s.run(level.String(), func(s *suite) {
			s.run("with the commit", func(s *suite) { settledByCommit(s, level) })
			s.run("not without it", func(s *suite) { unsettled(s, level) })
			s.run("settled since it began", func(s *suite) { settledSince(s, level) })
			s.run("others wait", func(s *suite) {
				for _, again := range []bool{false, true} {
					claimWaits(s, level, again, (*sql.Tx).Commit, true)
					claimWaits(s, level, again, (*sql.Tx).Commit, false)
					claimWaits(s, level, again, (*sql.Tx).Rollback, true)
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
		if a, b := s.settleTx(tx, d), s.settleTx(tx, other); a.Kept || b.Kept {
			s.Errorf("SettleTx of what wasn't claimed answered %+v and %+v", a, b)
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
			s.Errorf("ClaimTx answered %+v", got)
		}
		s.is(got[1], b)
		ask(s, func(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
			return s.d.SettleTx(ctx, tx, done)
		}, a, c)
		s.must(tx.Commit())
		s.remembered(a)
		s.remembered(c)
	})
}

func settledByCommit(s *suite, level sql.IsolationLevel) {
	d := done(unique("key"))
	tx := s.begin(level)
	s.claims(tx, d.Name)
	s.is(s.settleTx(tx, d), d)
	s.is(s.claimTx(tx, d.Name), d) // its own
	s.must(tx.Commit())
	s.remembered(d)
	again := s.begin(level)
	s.is(s.claimTx(again, d.Name), d)
	s.must(again.Commit())
	s.remembered(d)
}

// unsettled: what wasn't settled, or was rolled back, isn't remembered, also where there is a row that was kept once.
func unsettled(s *suite, level sql.IsolationLevel) {
	old := done(unique("old"))
	old.Keep = time.Millisecond
	s.remember(old)
	s.eventually("forgotten", func() bool { return !s.recall(old.Name).Kept })
	for _, name := range []string{unique("key"), old.Name} {
		tx := s.begin(level)
		s.claims(tx, name)
		s.settleTx(tx, done(name))
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

// settledSince: a transaction that has read before doesn't take for free what was settled since.
func settledSince(s *suite, level sql.IsolationLevel) {
	d := done(unique("key"))
	tx := s.snapshot(level)
	remembered := false
	s.attempt("Remember", func(ctx context.Context) error {
		o, err := s.d.Remember(ctx, []dialect.Done{d})
		remembered = err == nil && o[0].Kept
		return err
	})
	answers, err := s.d.ClaimTx(s.ctx, tx, []string{d.Name})
	switch {
	case err == nil && answers[0].Kept != remembered:
		s.Errorf("ClaimTx answered %+v, and remembered is %t", answers[0], remembered)
	case err != nil && s.d.Classify(err) != dialect.Transient:
		s.must(err)
	}
	s.must(tx.Rollback())
}

// claimWaits: the second one comes to its turn when the first one's transaction has ended, and sees what that has settled. Again:
// of a name that was claimed before, in vain.
func claimWaits(s *suite, level sql.IsolationLevel, again bool, end func(*sql.Tx) error, settled bool) {
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
		got <- s.transact(level, func(tx *sql.Tx) (dialect.Outcome, error) {
			answers, err := s.d.ClaimTx(s.ctx, tx, []string{d.Name})
			if err != nil {
				return dialect.Outcome{}, err
			}
			return answers[0], nil
		})
	}()
	select {
	case <-got:
		s.Fatal("the second claim didn't wait")
	case <-time.After(100 * time.Millisecond):
	}
	if settled {
		s.settleTx(tx, d)
	}
	s.must(end(tx))
	kept := s.recall(d.Name).Kept
	if o := <-got; o.Kept != kept {
		s.Errorf("the second claim was answered %+v, and kept is %t", o, kept)
	}
}

// transact does f in a transaction, as often as it takes.
func (s *suite) transact(level sql.IsolationLevel, f func(*sql.Tx) (dialect.Outcome, error)) dialect.Outcome {
	o, err := settle(s, func(ctx context.Context) (dialect.Outcome, error) {
		tx, err := s.DB.BeginTx(ctx, &sql.TxOptions{Isolation: level})
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
	s.answered(err)
	return o
}

// claimedOnce: of many who come with the same name, again and again, one does the work.
func claimedOnce(s *suite, level sql.IsolationLevel) {
	const people, keys = 6, 4
	s.exec("DELETE FROM application")
	names := make([]string, keys)
	for i := range names {
		names[i] = unique("key")
	}
	var all sync.WaitGroup
	for range people {
		all.Go(func() {
			for _, name := range names {
				d := done(name)
				s.transact(level, func(tx *sql.Tx) (dialect.Outcome, error) {
					answers, err := s.d.ClaimTx(s.ctx, tx, []string{name})
					if err != nil || answers[0].Kept {
						return dialect.Outcome{}, err
					}
					if _, err := tx.ExecContext(s.ctx, "INSERT INTO application (n) VALUES (1)"); err != nil {
						return dialect.Outcome{}, err
					}
					_, err = s.d.SettleTx(s.ctx, tx, []dialect.Done{d})
					return dialect.Outcome{}, err
				})
			}
		})
	}
	all.Wait()
	var n int
	s.must(s.DB.QueryRowContext(s.ctx, "SELECT COUNT(*) FROM application").Scan(&n))
	if n != keys {
		s.Errorf("the work for %d keys was done %d times", keys, n)
	}
}

// rememberWaits: what comes from outside waits for a claim, and finds what that has settled.
func rememberWaits(s *suite) {
	d, other := done(unique("key")), done(unique("other"))
	other.Name = d.Name
	tx := s.begin(0)
	s.claims(tx, d.Name)
	got := make(chan dialect.Outcome, 1)
	go func() {
		answers, err := settle(s, func(ctx context.Context) ([]dialect.Outcome, error) {
			return s.d.Remember(ctx, []dialect.Done{other})
		})
		if !s.answered(err) {
			answers = make([]dialect.Outcome, 1)
		}
		got <- answers[0]
	}()
	select {
	case o := <-got:
		s.Fatalf("Remember didn't wait: %+v", o)
	case <-time.After(100 * time.Millisecond):
	}
	s.settleTx(tx, d)
	s.must(tx.Commit())
	s.is(<-got, d)
}
