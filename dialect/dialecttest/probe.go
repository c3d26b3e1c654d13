package dialecttest

import (
	"database/sql"
	"errors"

	"github.com/sqllock/sqllock/dialect"
)

// probe: on a database that can serve locks, the probe finds that out and leaves nothing behind.
func probe(s *suite) {
	server, err := s.d.Probe(s.ctx)
	s.must(err)
	if server.Product == "" || server.Version == "" {
		s.Errorf("found %+v", server)
	}
	if server.Versioned && (server.Schema != s.d.SchemaVersion() || server.Dirty) {
		s.Errorf("found %+v, want schema %d", server, s.d.SchemaVersion())
	}
	if s.d.Name() == "" || s.d.SchemaVersion() == 0 {
		s.Errorf("name %q, schema version %d", s.d.Name(), s.d.SchemaVersion())
	}
	if rows := s.page(dialect.Key{}, false, 10); len(rows) != 0 {
		s.Errorf("the probe left %+v", rows)
	}
	for _, err := range []error{errors.New("never heard of"), s.ctx.Err()} {
		if class := s.d.Classify(err); err != nil && class != dialect.Unknown {
			s.Errorf("class %s for %v", class, err)
		}
	}
	if s.DB != nil {
		s.noRows("sqllock_leases")
		s.noRows("sqllock_locks")
	}
}

func (s *suite) noRows(table string) {
	s.Helper()
	var n int
	s.must(s.DB.QueryRowContext(s.ctx, "SELECT COUNT(*) FROM "+table).Scan(&n))
	if n != 0 {
		s.Errorf("%d rows left in %s", n, table)
	}
}

// version: what golang-migrate's table says is reported as it is.
func version(s *suite) {
	server, err := s.d.Probe(s.ctx)
	s.must(err)
	if server.Versioned {
		s.exec("DROP TABLE sqllock_schema_migrations")
	}
	expect := func(schema uint, dirty, versioned bool) {
		s.Helper()
		got, err := s.d.Probe(s.ctx)
		s.must(err)
		if got.Schema != schema || got.Dirty != dirty || got.Versioned != versioned {
			s.Errorf("found %+v, want schema %d, dirty %t, versioned %t", got, schema, dirty, versioned)
		}
	}
	expect(0, false, false)
	s.exec("CREATE TABLE sqllock_schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)")
	s.exec("INSERT INTO sqllock_schema_migrations (version, dirty) VALUES (7, FALSE)")
	expect(7, false, true)
	s.exec("UPDATE sqllock_schema_migrations SET dirty = TRUE")
	expect(7, true, true)
}

// failures: what is wrong for good is told from what may pass.
func failures(s *suite) {
	s.run("no tables", func(s *suite) {
		db := s.Empty(s.T)
		defer db.Close()
		s.all(s.New(db), db, dialect.NoSchema)
	})
	s.run("an older schema", func(s *suite) {
		db := s.Empty(s.T)
		defer db.Close()
		for _, query := range []string{
			"CREATE TABLE sqllock_leases (id VARCHAR(64) NOT NULL PRIMARY KEY)",
			"CREATE TABLE sqllock_locks (name VARCHAR(255) NOT NULL, slot INT NOT NULL, PRIMARY KEY (name, slot))",
		} {
			_, err := db.ExecContext(s.ctx, query)
			s.must(err)
		}
		s.all(s.New(db), db, dialect.NoSchema)
	})
	s.run("a closed pool", func(s *suite) {
		db := s.Open(s.T)
		s.must(db.Close())
		s.all(s.New(db), nil, dialect.Permanent)
	})
	s.run("no pool, and a pool of one", func(s *suite) {
		one := s.Open(s.T)
		defer one.Close()
		one.SetMaxOpenConns(1)
		for _, db := range []*sql.DB{nil, one} {
			d := s.New(db)
			if _, err := d.Probe(s.ctx); !errors.Is(err, dialect.ErrInvalid) || d.Classify(err) != dialect.Permanent {
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
		if _, err := s.d.Guard(s.ctx, tx, []dialect.Claim{claim(r)}); err == nil || s.d.Classify(err) != dialect.Permanent {
			s.Errorf("Guard: %v (class %s)", err, s.d.Classify(err))
		}
	})
}

// all calls every operation, and expects errors of that class.
func (s *suite) all(d dialect.Dialect, db *sql.DB, want dialect.Class) {
	s.Helper()
	r := request(unique("lock"), unique("lease"))
	errs := make(map[string]error)
	_, errs["Probe"] = d.Probe(s.ctx)
	errs["CreateLease"] = d.CreateLease(s.ctx, dialect.Lease{ID: r.LeaseID, Holder: "h", TTL: long})
	_, errs["RenewLeases"] = d.RenewLeases(s.ctx, []string{r.LeaseID})
	_, errs["BuryLeases"] = d.BuryLeases(s.ctx, []string{r.LeaseID})
	_, errs["BuryExpired"] = d.BuryExpired(s.ctx, 10)
	_, errs["Acquire"] = d.Acquire(s.ctx, []dialect.Request{r})
	_, errs["Release"] = d.Release(s.ctx, []dialect.Claim{claim(r)})
	_, errs["Free"] = d.Free(s.ctx, []dialect.Orphan{orphan(r, 1)})
	_, errs["Look"] = d.Look(s.ctx, []dialect.Key{r.Key})
	_, errs["List"] = d.List(s.ctx, dialect.Key{}, true, 10)
	_, errs["Purge"] = d.Purge(s.ctx, 0, 10)
	if db != nil {
		tx, err := db.BeginTx(s.ctx, nil)
		s.must(err)
		defer tx.Rollback()
		_, errs["Guard"] = d.Guard(s.ctx, tx, []dialect.Claim{claim(r)})
	}
	for name, err := range errs {
		if err == nil || d.Classify(err) != want {
			s.Errorf("%s: %v (class %s), want class %s", name, err, d.Classify(err), want)
		}
	}
}
