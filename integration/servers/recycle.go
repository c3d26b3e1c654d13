package servers

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"
)

// spare has databases that tests have used and that are empty again. The zero value has none.
type spare struct {
	mu        sync.Mutex
	databases []*url.URL
}

// take returns the database that was added first, or nil if there is none.
func (s *spare) take() *url.URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.databases) == 0 {
		return nil
	}
	first := s.databases[0]
	s.databases = slices.Delete(s.databases, 0, 1)
	return first
}

func (s *spare) add(u *url.URL) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databases = append(s.databases, u)
}

// recyclePostgres ends all sessions of a database, renames it, and empties it. It returns the
// database's new URL; after an error too it returns the URL of what is to be dropped. Creating and
// dropping a database costs PostgreSQL many times as much: it copies 300 files, and a drop is a
// checkpoint.
//
// As after a drop, nothing can be reached by the old name.
func recyclePostgres(ctx context.Context, e *engine, root, used *url.URL) (*url.URL, error) {
	db, err := e.administrator(root)
	if err != nil {
		return used, err
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	for sessions := 1; sessions > 0; {
		const end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1"
		if err := db.QueryRowContext(ctx, end, e.databaseOf(used)).Scan(&sessions); err != nil {
			return used, err
		}
		if sessions > 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf("ALTER DATABASE %s RESET ALL", e.quoted(used))); err != nil {
		return used, err
	}
	u := e.randomDatabase(root)
	rename := fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", e.quoted(used), e.quoted(u))
	if _, err := db.ExecContext(ctx, rename); err != nil {
		return used, err
	}
	return u, e.exec(ctx, u, emptyPostgres)
}

// emptyPostgres drops all schemas. It fails if a test has left anything else behind.
const emptyPostgres = `DO $$
DECLARE
	statement text;
BEGIN
	FOR statement IN SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
		WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
	LOOP
		EXECUTE statement;
	END LOOP;
	CREATE SCHEMA public AUTHORIZATION pg_database_owner;
	GRANT USAGE ON SCHEMA public TO PUBLIC;
	IF current_setting('server_version_num')::int < 150000 THEN
		GRANT CREATE ON SCHEMA public TO PUBLIC;
	END IF;
	IF EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql') OR EXISTS (SELECT FROM pg_event_trigger)
		OR EXISTS (SELECT FROM pg_publication) OR EXISTS (SELECT FROM pg_largeobject_metadata)
		OR EXISTS (
			SELECT FROM pg_database AS d WHERE datname = current_database() AND (
				datconnlimit <> -1 OR datacl IS NOT NULL
				OR EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = d.oid)
				OR EXISTS (SELECT FROM pg_shdepend WHERE dbid = d.oid)
				OR EXISTS (SELECT FROM pg_subscription WHERE subdbid = d.oid)))
	THEN
		RAISE EXCEPTION 'a test has left more than schemas behind';
	END IF;
END $$`
