package dialecttest

import "fmt"

// version checks that the contents of golang-migrate's table are reported unchanged. Of tables that
// are newer than the dialect it checks the version from which they are compatible, if they say so.
func version(s *suite) {
	server, err := s.d.Probe(s.ctx)
	s.must(err)
	if server.Versioned {
		s.exec("DROP TABLE sqllock_schema_migrations")
	}
	s.exec("DROP TABLE IF EXISTS sqllock_schema")
	var compatibleFrom uint
	var several bool
	expect := func(schema uint, dirty, versioned bool) {
		s.Helper()
		got, err := s.d.Probe(s.ctx)
		s.must(err)
		if got.Schema != schema || got.Dirty != dirty || got.Versioned != versioned ||
			got.CompatibleFrom != compatibleFrom ||
			got.Several != several {
			s.Errorf("found %+v, want schema %d, dirty %t, versioned %t, compatible from %d, several %t",
				got, schema, dirty, versioned, compatibleFrom, several)
		}
	}
	expect(0, false, false)
	s.execEither("CREATE TABLE sqllock_schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)",
		"CREATE TABLE sqllock_schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BIT NOT NULL)")
	s.execEither("INSERT INTO sqllock_schema_migrations (version, dirty) VALUES (7, FALSE)",
		"INSERT INTO sqllock_schema_migrations (version, dirty) VALUES (7, 0)")
	expect(7, false, true)
	s.execEither("UPDATE sqllock_schema_migrations SET dirty = TRUE", "UPDATE sqllock_schema_migrations SET dirty = 1")
	expect(7, true, true)
	newer := s.d.SchemaVersion() + 3
	s.exec(fmt.Sprintf("UPDATE sqllock_schema_migrations SET version = %d", newer))
	expect(newer, true, true) // and nothing says that it is compatible
	s.exec("CREATE TABLE sqllock_schema (compatible_from BIGINT NOT NULL PRIMARY KEY)")
	expect(newer, true, true)
	s.exec("INSERT INTO sqllock_schema (compatible_from) VALUES (3)")
	compatibleFrom = 3
	expect(newer, true, true)
	s.execEither("INSERT INTO sqllock_schema_migrations (version, dirty) VALUES (7, FALSE)",
		"INSERT INTO sqllock_schema_migrations (version, dirty) VALUES (7, 0)")
	compatibleFrom, several = 0, true
	expect(0, false, true)
}

// execEither runs otherwise on an engine that has no booleans, and so refuses statement.
func (s *suite) execEither(statement, otherwise string) {
	s.Helper()
	if _, err := s.DB.ExecContext(s.ctx, statement); err != nil {
		s.exec(otherwise)
	}
}
