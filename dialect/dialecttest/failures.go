package dialecttest

import (
	"errors"

	"github.com/sqllock/sqllock/dialect"
)

// failures checks that permanent errors are distinguished from transient ones.
func failures(s *suite) {
	s.run("no tables", func(s *suite) {
		pool := s.pools().Empty(s.T)
		defer pool.Close()
		s.all(pool.Dialect(), pool, dialect.ClassNoSchema)
	})
	s.run("an older schema", func(s *suite) {
		pool := s.pools().Empty(s.T)
		defer pool.Close()
		tx, err := pool.Begin(s.ctx, 0)
		s.must(err)
		defer tx.Rollback()
		for _, query := range []string{
			"CREATE TABLE sqllock_leases (id VARCHAR(64) NOT NULL PRIMARY KEY)",
			"CREATE TABLE sqllock_locks (name VARCHAR(255) NOT NULL, slot INT NOT NULL, PRIMARY KEY (name, slot))",
		} {
			_, err := tx.Exec(s.ctx, query)
			s.must(err)
		}
		s.must(tx.Commit())
		s.all(pool.Dialect(), pool, dialect.ClassNoSchema)
	})
	s.run("a closed pool", func(s *suite) {
		pool := s.pools().Open(s.T)
		s.must(pool.Close())
		s.all(pool.Dialect(), nil, dialect.ClassPermanent)
	})
	s.run("no pool, and a pool of one", func(s *suite) {
		one := s.pools().Narrow(s.T)
		defer one.Close()
		for _, d := range []dialect.Dialect{s.pools().None(), one.Dialect()} {
			if _, err := d.Probe(s.ctx); !errors.Is(err, dialect.ErrInvalid) ||
				d.Classify(err) != dialect.ClassPermanent {
				s.Errorf("Probe: %v (class %s)", err, d.Classify(err))
			}
		}
	})
	s.run("a transaction that has ended, and none", func(s *suite) {
		tx := s.begin(0)
		s.must(tx.Rollback())
		r := request(unique("lock"), s.lease(long))
		s.take(r)
		if _, err := s.d.Guard(s.ctx, nil, []dialect.Claim{claim(r)}); !errors.Is(err, dialect.ErrInvalid) {
			s.Errorf("Guard without a transaction: %v", err)
		}
		if _, err := s.d.ClaimTx(s.ctx, nil, []string{r.Name}); !errors.Is(err, dialect.ErrInvalid) {
			s.Errorf("ClaimTx without a transaction: %v", err)
		}
		if _, err := s.d.RememberTx(s.ctx, nil, []dialect.Done{done(r.Name)}); !errors.Is(err, dialect.ErrInvalid) {
			s.Errorf("RememberTx without a transaction: %v", err)
		}
		errs := make(map[string]error)
		_, errs["Guard"] = s.d.Guard(s.ctx, tx, []dialect.Claim{claim(r)})
		_, errs["ClaimTx"] = s.d.ClaimTx(s.ctx, tx, []string{r.Name})
		_, errs["RememberTx"] = s.d.RememberTx(s.ctx, tx, []dialect.Done{done(r.Name)})
		for name, err := range errs {
			if err == nil || s.d.Classify(err) != dialect.ClassPermanent {
				s.Errorf("%s: %v (class %s)", name, err, s.d.Classify(err))
			}
		}
	})
}

// all calls every operation, and expects errors of the given class.
func (s *suite) all(d dialect.Dialect, pool Pool, want dialect.Class) {
	s.Helper()
	r := request(unique("lock"), unique("lease"))
	errs := make(map[string]error)
	_, errs["Probe"] = d.Probe(s.ctx)
	errs["CreateLease"] = d.CreateLease(s.ctx, dialect.Lease{ID: r.LeaseID, Holder: "h", TTL: long})
	_, errs["RenewLeases"] = d.RenewLeases(s.ctx, []string{r.LeaseID})
	_, errs["ExpireLeases"] = d.ExpireLeases(s.ctx, []string{r.LeaseID})
	_, errs["DeleteExpired"] = d.DeleteExpired(s.ctx, 0, 10)
	_, errs["ExpireUnrenewed"] = d.ExpireUnrenewed(s.ctx, []dialect.Renewal{{LeaseID: r.LeaseID}})
	_, errs["OverlongLeases"] = d.OverlongLeases(s.ctx, 10)
	_, errs["EndBars"] = d.EndBars(s.ctx, []dialect.Bar{{Key: r.Key, Fence: 1}})
	_, errs["Acquire"] = d.Acquire(s.ctx, []dialect.Request{r})
	_, errs["Release"] = d.Release(s.ctx, []dialect.Claim{claim(r)})
	_, errs["Free"] = d.Free(s.ctx, []dialect.DeadHolder{deadHolder(r, 1)})
	_, errs["AdvanceFence"] = d.AdvanceFence(s.ctx, []dialect.FenceAdvance{{Claim: claim(r), Fence: 1}})
	_, errs["Get"] = d.Get(s.ctx, []dialect.Key{r.Key})
	_, errs["List"] = d.List(s.ctx, dialect.Key{}, true, 10)
	_, errs["Purge"] = d.Purge(s.ctx, 0, 10)
	_, errs["Enqueue"] = d.Enqueue(s.ctx, []dialect.Waiter{waiter(r)})
	_, errs["Dequeue"] = d.Dequeue(s.ctx, []dialect.Claim{claim(r)})
	_, errs["Queue"] = d.Queue(s.ctx, r.Key, 10)
	_, errs["ListWaiters"] = d.ListWaiters(s.ctx, 0, 10)
	_, errs["WaitingHolders"] = d.WaitingHolders(s.ctx, 0, 10)
	_, errs["Transfer"] = d.Transfer(s.ctx, []dialect.Transfer{{Claim: claim(r), Next: r}})
	_, errs["PurgeWaiters"] = d.PurgeWaiters(s.ctx, 10)
	_, errs["Recall"] = d.Recall(s.ctx, []string{r.Name})
	_, errs["Remember"] = d.Remember(s.ctx, []dialect.Done{done(r.Name)})
	_, errs["PurgeOutcomes"] = d.PurgeOutcomes(s.ctx, 10)
	_, errs["Break"] = d.Break(s.ctx, []dialect.Break{toBreak(r)})
	_, errs["ListBreaks"] = d.ListBreaks(s.ctx, r.Name, 10)
	_, errs["PurgeBreaks"] = d.PurgeBreaks(s.ctx, 0, 10)
	if pool != nil {
		tx, err := pool.Begin(s.ctx, 0)
		s.must(err)
		defer tx.Rollback()
		_, errs["Guard"] = d.Guard(s.ctx, tx, []dialect.Claim{claim(r)})
		s.must(tx.Rollback())
		claims, err := pool.Begin(s.ctx, 0)
		s.must(err)
		defer claims.Rollback()
		_, errs["ClaimTx"] = d.ClaimTx(s.ctx, claims, []string{r.Name})
	}
	for name, err := range errs {
		if err == nil || d.Classify(err) != want {
			s.Errorf("%s: %v (class %s), want class %s", name, err, d.Classify(err), want)
		}
	}
}
