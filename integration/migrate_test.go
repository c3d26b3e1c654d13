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

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/sqllock"
)

// migrateBench is an empty database, and a pool on it.
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
				b.Errorf("the dialect finds %+v, %v", server, err)
			}
			b.must(migrations.Down(b.Context(), b.DB, b.Migrations))
			b.must(migrations.Down(b.Context(), b.DB, b.Migrations))
			b.wantVersion(0, false)
		}
		if stats := b.DB.Stats(); stats.InUse != 0 {
			b.Errorf("%d connections weren't given back", stats.InUse)
		}
		b.DB.SetMaxOpenConns(1)
		b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
		b.must(b.migrator(nil).Drop(b.Context()))
		b.wantVersion(0, false)
	})
}

// Processes that all migrate when they start: one does, the others wait.
func TestMigrateAtOnce(t *testing.T) {
	eachToMigrate(t, migrateAtOnce)
}

// And the server sees no error: one of its own, since in the log of a shared one stand other tests' errors.
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
		m, err := migrations.New(one.DB, one.Migrations, &migrations.Options{LockTimeout: patience})
		if err != nil {
			return nil, err
		}
		return m.Up(b.Context(), migrations.All)
	})
	b.wantVersion(b.Migrations.Latest(), false)
}

// atOnce lets n migrate at once, each on a pool of its own: none fails, and no migration is applied twice.
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

// A migration that the server refuses leaves nothing behind where DDL can be rolled back, and a dirty version, which
// can be repaired as the message says, where it can't.
func TestMigrateRefused(t *testing.T) {
	eachToMigrate(t, func(b *migrateBench) {
		_, err := b.DB.ExecContext(b.Context(), "CREATE TABLE sqllock_locks (n INTEGER)")
		b.must(err)
		err = migrations.Up(b.Context(), b.DB, b.Migrations)
		var refused *migrations.StatementError
		if !errors.As(err, &refused) || refused.File != "0002_locks.up.sql" || refused.Dirty == b.Migrations.Transactional {
			b.Fatalf("with a table in the way: %v", err)
		}
		for _, says := range []string{"0002_locks.up.sql", "exists", "CREATE TABLE sqllock_locks", "migrate again"} {
			if !strings.Contains(err.Error(), says) {
				b.Errorf("%v\ndoesn't say %q", err, says)
			}
		}
		_, err = b.DB.ExecContext(b.Context(), "DROP TABLE sqllock_locks")
		b.must(err)
		if b.Migrations.Transactional {
			b.wantVersion(uint(max(refused.Version, 0)), false)
			if (refused.Version == 1) == refused.All {
				b.Errorf("%+v", refused) // some servers, Babelfish among them, roll the whole transaction back after that
			}
		} else {
			b.wantVersion(2, true)
			err = migrations.Up(b.Context(), b.DB, b.Migrations)
			var dirty *migrations.DirtyError
			if !errors.As(err, &dirty) || dirty.Version != 2 {
				b.Fatalf("dirty: %v", err)
			}
			b.must(b.migrator(nil).Force(b.Context(), 1))
		}
		b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
		b.wantVersion(b.Migrations.Latest(), false)
	})
}

// Whoever holds the lock, sqllock or golang-migrate, the others wait, for as long as they want to.
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
		told := func(*sqllock.HeldError) { waiting() }
		timer := time.AfterFunc(200*time.Millisecond, waiting) // SQLite waits without telling
		defer timer.Stop()
		m, err := migrations.New(b.open().DB, b.Migrations, &migrations.Options{LockTimeout: patience, Waiting: told})
		b.must(err)
		if _, err := m.Up(ctx, migrations.All); !errors.Is(err, context.Canceled) {
			b.Errorf("cancelled while waiting: %v", err)
		}
		close(goOn)
		b.must(<-done)
		b.wantVersion(b.Migrations.Latest(), false)
	})
}

// wantLocked tries to migrate while somebody else does.
func (b *migrateBench) wantLocked() {
	b.Helper()
	m, err := migrations.New(b.open().DB, b.Migrations, &migrations.Options{LockTimeout: 300 * time.Millisecond})
	b.must(err)
	begun := time.Now()
	_, err = m.Up(b.Context(), migrations.All)
	var timeout *migrations.LockTimeoutError
	if took := time.Since(begun); !errors.As(err, &timeout) || took > 20*time.Second {
		b.Errorf("with a lock timeout of 300ms, after %v: %v", took, err)
	}
}

func TestMigrateWaitsForGolangMigrate(t *testing.T) {
	for _, engine := range []string{"postgres15", "postgres18", "mysql", "mariadb", "sqlserver"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newMigrateBench(t, servers.Start(t, engine).Database(t))
			url, err := b.Migrations.MigrateURL(withParameter(b.url, "x-migrations-table="+migrations.Table))
			b.must(err)
			driver, err := golangmigrate.Open(url)
			b.must(err)
			b.must(driver.Lock())
			b.wantLocked()
			b.must(driver.Unlock())
			b.must(driver.Close())
			b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
		})
	}
}

// ctx ends between two migrations: the first is kept, and the next run goes on from there.
func TestMigrateStops(t *testing.T) {
	eachToMigrate(t, func(b *migrateBench) {
		ctx, cancel := context.WithCancel(b.Context())
		m := b.migrator(&migrations.Options{Progress: func(migrations.Step) { cancel() }})
		var stopped *migrations.StoppedError
		if _, err := m.Up(ctx, migrations.All); !errors.As(err, &stopped) || stopped.Version != 1 {
			b.Errorf("stopped: %v", err)
		}
		b.wantVersion(1, false)
		b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
	})
}

// The server dies in the middle of a run. Where DDL can be rolled back, that leaves what was there before, and no
// dirty version.
func TestMigrateServerKilled(t *testing.T) {
	for _, engine := range []string{"postgres15", "postgres18"} {
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
				t.Error("the server was killed, and nobody noticed")
			}
			server.Restart()
			b.wantVersion(0, false)
			b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
			b.must(b.migrator(nil).Drop(b.Context()))
		})
	}
}

// waitForDirty waits until a migration is under way in the application's tables.
func (b *migrateBench) waitForDirty(version int) {
	b.Helper()
	dirty := "dirty"
	if b.Dialect.Name() == "sqlserver" { // which has no booleans
		dirty = "dirty = 1"
	}
	b.waitFor(fmt.Sprintf("SELECT version FROM schema_migrations WHERE version = %d AND %s", version, dirty))
}

// waitFor waits until a query answers a row.
func (b *migrateBench) waitFor(query string) {
	b.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var n int
		err := b.DB.QueryRowContext(b.Context(), query).Scan(&n)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s: %v after %v", query, err, patience)
		}
	}
}

func TestMigrateReadOnly(t *testing.T) {
	for _, engine := range []string{"postgres15", "postgres18"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newMigrateBench(t, servers.Start(t, engine).Database(t))
			b.must(migrations.Up(b.Context(), b.DB, b.Migrations))
			b.url = withParameter(b.url, "default_transaction_read_only=on")
			readOnly := newMigrateBench(t, b.url)
			readOnly.wantVersion(b.Migrations.Latest(), false)
			if err := migrations.Up(b.Context(), readOnly.DB, b.Migrations); err != nil {
				t.Errorf("nothing to do: %v", err)
			}
			if err := migrations.Down(b.Context(), readOnly.DB, b.Migrations); err == nil || !strings.Contains(err.Error(), "read-only") {
				t.Errorf("down: %v", err)
			}
			b.wantVersion(b.Migrations.Latest(), false)
		})
	}
}

func TestMigrateUnreachable(t *testing.T) {
	for _, engine := range []string{"postgres15", "mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newMigrateBench(t, servers.Start(t, engine).Database(t))
			u, err := url.Parse(b.url)
			b.must(err)
			var connect *migrations.ConnectError
			for _, wrong := range []string{
				strings.Replace(b.url, u.Host, "127.0.0.1:1", 1), strings.Replace(b.url, u.Path, "/no_such_database", 1),
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
