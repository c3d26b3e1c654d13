package dialecttest

import (
	"errors"

	"github.com/sqllock/sqllock/dialect"
)

// probe checks that Probe accepts a database that can serve locks, and leaves nothing behind.
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
		s.Errorf("after Probe there remain %+v", rows)
	}
	for _, err := range []error{errors.New("unknown to the engine"), s.ctx.Err()} {
		if class := s.d.Classify(err); err != nil && class != dialect.ClassUnknown {
			s.Errorf("class %s for %v", class, err)
		}
	}
	if s.DB != nil {
		s.noRows("sqllock_leases")
		s.noRows("sqllock_locks")
		s.noRows("sqllock_waiters")
		s.noRows("sqllock_outcomes")
		s.noRows("sqllock_breaks")
	}
}

func (s *suite) noRows(table string) {
	s.Helper()
	var n int
	s.must(s.direct().QueryRowContext(s.ctx, "SELECT COUNT(*) FROM "+table).Scan(&n))
	if n != 0 {
		s.Errorf("%d rows remain in %s", n, table)
	}
}
