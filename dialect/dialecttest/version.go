package dialecttest

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
	s.execEither("CREATE TABLE sqllock_schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL)",
		"CREATE TABLE sqllock_schema_migrations (version BIGINT NOT NULL PRIMARY KEY, dirty BIT NOT NULL)")
	s.execEither("INSERT INTO sqllock_schema_migrations (version, dirty) VALUES (7, FALSE)",
		"INSERT INTO sqllock_schema_migrations (version, dirty) VALUES (7, 0)")
	expect(7, false, true)
	s.execEither("UPDATE sqllock_schema_migrations SET dirty = TRUE", "UPDATE sqllock_schema_migrations SET dirty = 1")
	expect(7, true, true)
}

// execEither runs the second statement where the engine has no booleans, and so refuses the first.
func (s *suite) execEither(statement, otherwise string) {
	s.Helper()
	if _, err := s.DB.ExecContext(s.ctx, statement); err != nil {
		s.exec(otherwise)
	}
}
