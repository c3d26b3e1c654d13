package integration

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	golangmigrate "github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// migrateBench is an initially empty database, and a pool on it.
type migrateBench struct {
	*testing.T
	url string
	*open.Database
}

func newMigrateBench(t *testing.T, url string) *migrateBench {
	t.Helper()
	b := &migrateBench{T: t, url: url}
	b.Database = b.open()
	return b
}

func eachToMigrate(t *testing.T, f func(b *migrateBench)) {
	servers.Each(t, func(t *testing.T, s *servers.Server) { f(newMigrateBench(t, s.Database(t))) })
}

// open opens another pool on the database.
func (b *migrateBench) open() *open.Database {
	b.Helper()
	opened, err := open.URL(b.url)
	b.must(err)
	b.Cleanup(func() { b.must(opened.DB.Close()) })
	return opened
}

func (b *migrateBench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *migrateBench) migrator(options *migrations.Options) *migrations.Migrator {
	b.Helper()
	m, err := migrations.New(b.DB, b.Migrations, options)
	b.must(err)
	return m
}

func (b *migrateBench) wantVersion(want uint, wantDirty bool) {
	b.Helper()
	version, dirty, err := migrations.Version(b.Context(), b.DB, b.Migrations)
	if err != nil || version != want || dirty != wantDirty {
		b.Errorf("version %d, dirty %v, %v; want %d, %v", version, dirty, err, want, wantDirty)
	}
}

// withParameter adds "name=value" to a URL.
func withParameter(url, parameter string) string {
	if strings.Contains(url, "?") {
		return url + "&" + parameter
	}
	return url + "?" + parameter
}

func TestMigrateUpDownUp(t *testing.T) {
	eachToMigrate(t, func(b *migrateBench) {
		b.wantVersion(0, false)
		for range 2 {
			b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
			b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
			b.wantVersion(b.Migrations.Latest(), false)
			server, err := b.Dialect.Probe(b.Context())
			if err != nil || server.Schema != b.Migrations.Latest() || server.Dirty || !server.Versioned {
				b.Errorf("Probe returned %+v, %v", server, err)
			}
			b.must(migrations.Down(b.Context(), b.DB, b.Migrations))
			b.must(migrations.Down(b.Context(), b.DB, b.Migrations))
			b.wantVersion(0, false)
		}
		if stats := b.DB.Stats(); stats.InUse != 0 {
			b.Errorf("%d connections were not returned to the pool", stats.InUse)
		}
		b.DB.SetMaxOpenConns(1)
		b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
		b.must(b.migrator(nil).Drop(b.Context()))
		b.wantVersion(0, false)
	})
}

// Of several processes that migrate at the same time, one applies each migration while the others
// wait.
func TestMigrateAtOnce(t *testing.T) {
	eachToMigrate(t, migrateAtOnce)
}

// Processes that migrate at the same time cause no error in the server's log. The server is
// private, since the log of a shared one has errors of other tests.
func TestMigrateAtOnceMakesNoNoise(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine)
		b := newMigrateBench(t, server.URL)
		before := logLength(t, server)
		migrateAtOnce(b)
		for _, line := range noisy(t, server, b.Database, before) {
			t.Errorf("in the server's log: %s", line)
		}
	})
}

func migrateAtOnce(b *migrateBench) {
	b.atOnce(12, func(one *open.Database) ([]migrations.Step, error) {
		m, err := migrations.New(one.DB, one.Migrations, &migrations.Options{LockTimeout: stepTimeout})
		if err != nil {
			return nil, err
		}
		return m.Up(b.Context(), migrations.All)
	})
	b.wantVersion(b.Migrations.Latest(), false)
}

// atOnce calls migrate n times at once, each on a pool of its own. It checks that no call fails,
// and that no migration is applied twice.
func (b *migrateBench) atOnce(n int, migrate func(one *open.Database) ([]migrations.Step, error)) {
	b.Helper()
	var applied sync.Map
	var group sync.WaitGroup
	for range n {
		one := b.open()
		group.Go(func() {
			steps, err := migrate(one)
			if err != nil {
				b.Error(err)
			}
			for _, step := range steps {
				if _, twice := applied.LoadOrStore(step.Version, true); twice {
					b.Errorf("%v was applied twice", step)
				}
			}
		})
	}
	group.Wait()
}

// If DDL can be rolled back, a migration that the server refuses leaves nothing behind. Otherwise
// it leaves a dirty version, which can be repaired as the message says.
func TestMigrateRefused(t *testing.T) {
	eachToMigrate(t, func(b *migrateBench) {
		_, err := b.DB.ExecContext(b.Context(), "CREATE TABLE sqllock_locks (n INTEGER)")
		b.must(err)
		err = migrations.Up(b.Context(), b.DB, b.Migrations)
		var refused *migrations.StatementError
		if !errors.As(err, &refused) || refused.File != "0002_locks.up.sql" ||
			refused.Dirty == b.Migrations.Transactional {
			b.Fatalf("with a table in the way: %v", err)
		}
		for _, says := range []string{"0002_locks.up.sql", "exists", "CREATE TABLE sqllock_locks", "migrate again"} {
			if !strings.Contains(err.Error(), says) {
				b.Errorf("the error\n%v\ndoes not contain %q", err, says)
			}
		}
		_, err = b.DB.ExecContext(b.Context(), "DROP TABLE sqllock_locks")
		b.must(err)
		if b.Migrations.Transactional {
			b.wantVersion(uint(max(refused.Version, 0)), false)
			if (refused.Version == 1) == refused.All {
				// Some servers, Babelfish among them, roll the whole transaction back after such an
				// error.
				b.Errorf("the version and All disagree: %+v", refused)
			}
		} else {
			b.wantVersion(2, true)
			err = migrations.Up(b.Context(), b.DB, b.Migrations)
			var dirty *migrations.DirtyError
			if !errors.As(err, &dirty) || dirty.Version != 2 {
				b.Fatalf("Up of a dirty database: %v; want a *DirtyError for version 2", err)
			}
			b.must(b.migrator(nil).Force(b.Context(), 1))
		}
		b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
		b.wantVersion(b.Migrations.Latest(), false)
	})
}

// While one migrator holds the lock, others wait until their lock timeout passes or their ctx ends.
func TestMigrateWaits(t *testing.T) {
	eachToMigrate(t, func(b *migrateBench) {
		applied, goOn := make(chan struct{}), make(chan struct{})
		holder := b.migrator(&migrations.Options{Progress: func(step migrations.Step) {
			if step.Version == 1 {
				close(applied)
				<-goOn
			}
		}})
		done := make(chan error, 1)
		go func() {
			_, err := holder.Up(b.Context(), migrations.All)
			done <- err
		}()
		<-applied
		b.wantLocked()

		ctx, cancel := context.WithCancel(b.Context())
		waiting := sync.OnceFunc(cancel)
		timer := time.AfterFunc(200*time.Millisecond, waiting) // on SQLite, Waiting is not called
		defer timer.Stop()
		m, err := migrations.New(b.open().DB, b.Migrations, &migrations.Options{
			LockTimeout: stepTimeout, Waiting: func(*sqllock.HeldError) { waiting() },
		})
		b.must(err)
		if _, err := m.Up(ctx, migrations.All); !errors.Is(err, context.Canceled) {
			b.Errorf("Up, canceled while it waited: %v", err)
		}
		close(goOn)
		b.must(<-done)
		b.wantVersion(b.Migrations.Latest(), false)
	})
}

// wantLocked checks that a run gives up after its lock timeout while another migrator holds the
// lock.
func (b *migrateBench) wantLocked() {
	b.Helper()
	m, err := migrations.New(b.open().DB, b.Migrations, &migrations.Options{LockTimeout: 300 * time.Millisecond})
	b.must(err)
	begun := time.Now()
	_, err = m.Up(b.Context(), migrations.All)
	var timeout *migrations.LockTimeoutError
	if took := time.Since(begun); !errors.As(err, &timeout) || took > 20*time.Second {
		b.Errorf("Up, with a lock timeout of 300ms, returned after %v: %v", took, err)
	}
}

// golangMigrateURL returns a test server's URL in the form that golang-migrate's own drivers take.
func golangMigrateURL(url string, parameters ...string) string {
	for _, parameter := range parameters {
		url = withParameter(url, parameter)
	}
	scheme, rest, _ := strings.Cut(url, "://")
	switch scheme {
	case "postgres", "postgresql":
		return "pgx5://" + rest
	case "mysql", "mariadb":
		user, address, _ := strings.Cut(rest, "@")
		host, database, _ := strings.Cut(address, "/")
		return "mysql://" + user + "@tcp(" + host + ")/" + database
	}
	return url
}

func TestMigrateWaitsForGolangMigrate(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, allServers...) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newMigrateBench(t, servers.Start(t, engine).Database(t))
			driver, err := golangmigrate.Open(golangMigrateURL(b.url, "x-migrations-table="+migrations.Table))
			b.must(err)
			b.must(driver.Lock())
			b.wantLocked()
			b.must(driver.Unlock())
			b.must(driver.Close())
			b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
		})
	}
}

// ctx ends between two migrations. The first is kept, and the next run continues from there.
func TestMigrateStops(t *testing.T) {
	eachToMigrate(t, func(b *migrateBench) {
		ctx, cancel := context.WithCancel(b.Context())
		m := b.migrator(&migrations.Options{Progress: func(migrations.Step) { cancel() }})
		var stopped *migrations.StoppedError
		if _, err := m.Up(ctx, migrations.All); !errors.As(err, &stopped) || stopped.Version != 1 {
			b.Errorf("Up, canceled after the first migration: %v; want a *StoppedError at version 1", err)
		}
		b.wantVersion(1, false)
		b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
	})
}

// The server is killed in the middle of a run. If DDL can be rolled back, the database is as it was
// before the run, and not dirty.
func TestMigrateServerKilled(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "postgres15", "postgres18") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			b := newMigrateBench(t, server.URL)
			slow := *b.Migrations
			slow.Files = fstest.MapFS{
				"1_quick.up.sql": {Data: []byte("CREATE TABLE sqllock_quick (n integer)")},
				"2_slow.up.sql":  {Data: []byte("CREATE TABLE sqllock_slow (n integer); SELECT pg_sleep(600)")},
			}
			done := make(chan error, 1)
			go func() { done <- migrations.Up(b.Context(), b.DB, &slow) }()
			b.waitFor("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
			server.Kill()
			if err := <-done; err == nil {
				t.Error("Up succeeded although the server was killed")
			}
			server.Restart()
			b.wantVersion(0, false)
			b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
			b.must(b.migrator(nil).Drop(b.Context()))
		})
	}
}

// waitForBlocked waits until the application's migration to version is running and waits for the
// table gate, as described at blocking.
func (b *migrateBench) waitForBlocked(version int) {
	b.Helper()
	switch b.Dialect.Name() { // with transactional DDL the version is not visible yet
	case "postgres":
		b.waitFor("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'gate'::regclass")
	case "mysql":
		b.waitForDirty(version)
	}
}

// waitForDirty waits until a migration is recorded as begun.
func (b *migrateBench) waitForDirty(version int) {
	b.Helper()
	dirty := "dirty"
	if b.Dialect.Name() == "sqlserver" { // it has no booleans
		dirty = "dirty = 1"
	}
	b.waitFor(fmt.Sprintf("SELECT version FROM schema_migrations WHERE version = %d AND %s", version, dirty))
}

// waitFor waits until a query returns a row. The row must have one integer.
func (b *migrateBench) waitFor(query string) {
	b.Helper()
	for deadline := time.Now().Add(stepTimeout); ; time.Sleep(10 * time.Millisecond) {
		var n int
		err := b.DB.QueryRowContext(b.Context(), query).Scan(&n)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s: still %v after %v", query, err, stepTimeout)
		}
	}
}

func TestMigrateReadOnly(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "postgres15", "postgres18") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newMigrateBench(t, servers.Start(t, engine).Database(t))
			b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
			b.url = withParameter(b.url, "default_transaction_read_only=on")
			readOnly := newMigrateBench(t, b.url)
			readOnly.wantVersion(b.Migrations.Latest(), false)
			if err := migrations.Up(b.Context(), readOnly.DB, b.Migrations); err != nil {
				t.Errorf("Up with nothing to do: %v", err)
			}
			err := migrations.Down(b.Context(), readOnly.DB, b.Migrations)
			if err == nil || !strings.Contains(err.Error(), "read-only") {
				t.Errorf("Down in a read-only session: %v", err)
			}
			b.wantVersion(b.Migrations.Latest(), false)
		})
	}
}

func TestMigrateUnreachable(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "postgres15", "mysql", "mariadb") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newMigrateBench(t, servers.Start(t, engine).Database(t))
			u, err := url.Parse(b.url)
			b.must(err)
			var connect *migrations.ConnectError
			for _, wrong := range []string{
				strings.Replace(b.url, u.Host, "127.0.0.1:1", 1),
				strings.Replace(b.url, u.Path, "/no_such_database", 1),
			} {
				bad, err := open.URL(wrong)
				b.must(err)
				if err := migrations.Up(b.Context(), bad.DB, bad.Migrations); !errors.As(err, &connect) {
					t.Errorf("%s: %v", open.Redact(wrong), err)
				}
				b.must(bad.DB.Close())
			}
		})
	}
}
