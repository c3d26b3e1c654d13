package servers

import (
	"strings"
	"testing"
)

// When another test gets a database that a test has used, it is empty, has the settings of a new
// database, can't be reached by its old name, and has no sessions that the first test left open.
func TestRecycle(t *testing.T) {
	t.Parallel()
	outer, i := t, Private(t, "postgres15")
	s := &Server{Engine: "postgres15", Provider: "local", engine: i.local.engine, url: i.local.root}
	var used string
	t.Run("used", func(t *testing.T) {
		used = s.Database(t)
		for _, statement := range []string{
			"CREATE TABLE things (id int)", "CREATE SCHEMA apart", "CREATE TABLE apart.things (id int)",
			"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP SCHEMA public CASCADE",
			"DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET transform_null_equals = on', current_database()); END$$",
		} {
			execAt(t, s.engine, used, statement)
		}
	})
	t.Run("next", func(t *testing.T) {
		if len(s.spare.databases) != 1 {
			t.Fatalf("%d databases are ready to be used again; want 1", len(s.spare.databases))
		}
		left := s.spare.databases[0]
		next := s.Database(t)
		if next != left.String() || next == used {
			t.Errorf("the database is %s; want the recycled one, under another name than %s", next, used)
		}
		session, err := s.engine.open(left)
		if err != nil {
			t.Fatal(err)
		}
		outer.Cleanup(func() { _ = session.Close() }) // after the database is taken back
		if err := s.engine.ping(parse(t, used)); err == nil {
			t.Errorf("%s can be reached by its old name", used)
		}
		for _, query := range []string{
			"SELECT count(*) = 0 FROM pg_class WHERE oid >= 16384",
			"SELECT count(*) = 0 FROM pg_proc WHERE oid >= 16384",
			"SELECT string_agg(nspname, ' ') = 'public' FROM pg_namespace " +
				"WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
			"SELECT current_setting('transform_null_equals') = 'off'",
			"SELECT has_schema_privilege('pg_monitor', 'public', 'USAGE') AND " +
				"NOT has_schema_privilege('pg_monitor', 'public', 'CREATE')",
		} {
			var yes bool
			if err := session.QueryRowContext(t.Context(), query).Scan(&yes); err != nil || !yes {
				t.Errorf("%s: %t, %v", query, yes, err)
			}
		}
		if _, err := session.BeginTx(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("not again", func(t *testing.T) {
		if len(s.spare.databases) != 1 {
			t.Fatalf("%d databases are ready to be used again after a test that left a session open; want 1",
				len(s.spare.databases))
		}
		next := s.Database(t)
		execAt(t, s.engine, next, "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
		execAt(t, s.engine, next, "CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse()")
		execAt(t, s.engine, next, "CREATE PUBLICATION p")
	})
	if len(s.spare.databases) != 0 {
		t.Error("a database in which a test left more than schemas is used again")
	}
	var names string
	const all = "SELECT coalesce(string_agg(datname, ' '), '') FROM pg_database WHERE datname LIKE 't!_%' ESCAPE '!'"
	i.query(t, &names, all)
	if strings.TrimPrefix(parse(t, i.URL).Path, "/") != names {
		t.Errorf("there are the databases %q; want only the server's own, %s", names, i.URL)
	}
}
