package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	golangmigrate "github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// steps returns n migrations that leave a trace each time they are applied: a row in a table
// without a key.
func steps(n int) map[string]string {
	files := map[string]string{"1_traces.up.sql": "CREATE TABLE traces (step INTEGER);"}
	for i := 2; i <= n; i++ {
		files[fmt.Sprintf("%d_step.up.sql", i)] = fmt.Sprintf("INSERT INTO traces (step) VALUES (%d);", i)
	}
	return files
}

// concurrent starts n commands at the same moment. Each is a shell that waits for the end of its
// standard input, and then becomes the command.
func (c migrateCommand) concurrent(t *testing.T, n int, database string, args ...string) []*concurrentRun {
	t.Helper()
	var all []*concurrentRun
	for range n {
		cmd := exec.Command("/bin/sh", append([]string{"-c", `read -r _; exec "$0" "$@"`, c.path}, args...)...)
		cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL="+database)
		one := &concurrentRun{Cmd: cmd}
		cmd.Stdout, cmd.Stderr = &one.out, &one.out
		gate, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		one.gate = gate
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := endHanging(cmd)
		t.Cleanup(func() {
			stop()
			_ = cmd.Process.Kill()
		})
		all = append(all, one)
	}
	for _, one := range all {
		_ = one.gate.Close()
	}
	return all
}

type concurrentRun struct {
	*exec.Cmd
	gate io.Closer
	out  bytes.Buffer
}

// migratedOnce starts 20 processes at the same moment, in each of the rounds on another database.
// It checks that none fails, and that every migration is applied exactly once. database returns the
// URL for the processes, and one for the check that goes to the server directly.
func migratedOnce(t *testing.T, c migrateCommand, rounds int, database func() (url, direct string), args ...string) {
	const processes, last = 20, 8
	dir := folder(t, steps(last))
	var slowest time.Duration
	for range rounds {
		db, direct := database()
		begun := time.Now()
		applied := map[string]int{}
		args := append([]string{"--source", dir, "--lock-timeout", "2m", "up"}, args...)
		for _, one := range c.concurrent(t, processes, db, args...) {
			if err := one.Wait(); err != nil {
				t.Errorf("%v: %s", err, one.out.String())
			}
			for line := range strings.Lines(one.out.String()) {
				if step, _, found := strings.Cut(line, " ("); found && strings.Contains(step, "/u ") {
					applied[step]++
				}
			}
		}
		slowest = max(slowest, time.Since(begun))
		target := connect(t, direct)
		rows := scan[int](t, target, "SELECT count(*) FROM traces")
		steps := scan[int](t, target, "SELECT count(DISTINCT step) FROM traces")
		if rows != last-1 || steps != last-1 {
			t.Errorf("the table has %d rows of %d steps, want %d of each", rows, steps, last-1)
		}
		for step, n := range applied {
			if n != 1 {
				t.Errorf("%s was reported %d times", step, n)
			}
		}
		if len(applied) != last {
			t.Errorf("%d steps were reported, want %d: %v", len(applied), last, applied)
		}
	}
	t.Logf("%d rounds of %d processes: the slowest took %v", rounds, processes, slowest.Round(time.Millisecond))
}

// rounds is how often migratedOnce repeats its check.
var rounds = long.Or(1, 5)

func databases(t *testing.T, s *servers.Server) func() (url, direct string) {
	return func() (string, string) {
		db := s.Database(t)
		return db, db
	}
}

// Twenty processes start to migrate at the same moment, with the engine's default kind of lock.
func TestMigrateLockTwenty(t *testing.T) {
	c := buildMigrate(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		migratedOnce(t, c, rounds, databases(t, s))
	})
}

// Twenty processes start to migrate at the same moment, with a lease as the lock.
func TestMigrateLockTwentyLease(t *testing.T) {
	c := buildMigrate(t)
	private(t, allServers, func(t *testing.T, engine string) {
		migratedOnce(t, c, rounds, databases(t, servers.Start(t, engine)), "--lock=lease")
	})
}

// Behind a pooler in transaction mode, --lock auto chooses a lease.
func TestMigrateLockPgBouncer(t *testing.T) {
	t.Parallel()
	c := buildMigrate(t)
	server := servers.Start(t, "postgres15")
	through := func(db string, settings ...string) string { return servers.PgBouncer(t, db, settings...).URL }
	migratedOnce(t, c, rounds, func() (string, string) {
		db := server.Database(t)
		return through(db, "default_pool_size=4"), db
	})
	db := server.Database(t)
	c.want(t, through(db), 0, "taking a lease", "--verbose --source "+folder(t, steps(2))+" up")
	if n := scan[int](t, connect(t, db), `SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
		WHERE locktype = 'advisory' AND datname = current_database()`); n != 0 {
		t.Errorf("%d advisory locks are left on the pooler's connections", n)
	}
	b := newMigrateBench(t, db) // without the pooler
	session, err := lock.Take(t.Context(), b.Dialect, &lock.Options{Kind: lock.Session, Name: lockName(b)})
	b.must(err)
	c.want(t, through(db), 0, "nobody holds the migration lock as a lease\n"+
		"whether a session holds it can't be found out from here: ", "unlock")
	b.must(session.Release(t.Context()))
}

// On Galera, where GET_LOCK is local to one node, processes that migrate through different nodes
// exclude each other.
func TestMigrateLockGalera(t *testing.T) {
	t.Parallel()
	nodes := servers.Cluster(t)
	c := buildMigrate(t)
	dir := folder(t, steps(8))
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() { c.want(t, nodes[i%3].URL, 0, "", "--source "+dir+" --lock-timeout 2m up") })
	}
	group.Wait()
	c.want(t, nodes[1].URL, 0, "taking a lease", "--verbose --source "+dir+" up")
	// With this setting, reads wait until the node has applied the other nodes' commits.
	target := connect(t, withParameter(nodes[0].URL, "wsrep_sync_wait=1"))
	if n := scan[int](t, target, "SELECT count(*) FROM traces"); n != 7 {
		t.Errorf("the table has %d rows, want 7", n)
	}
}

// blocking returns a migration that does not end before the test calls goOn.
func blocking(b *migrateBench) (statement string, goOn func()) {
	b.Helper()
	lock, unlock := []string{"LOCK TABLES gate WRITE"}, "UNLOCK TABLES"
	if b.Dialect.Name() == "postgres" {
		lock, unlock = []string{"BEGIN", "LOCK TABLE gate IN ACCESS EXCLUSIVE MODE"}, "COMMIT"
	}
	if b.Dialect.Name() == "sqlserver" {
		lock, unlock = []string{"BEGIN TRANSACTION", "ALTER TABLE gate ADD m INTEGER"}, "COMMIT"
	}
	conn, err := b.DB.Conn(b.Context())
	b.must(err)
	exec := func(queries ...string) {
		for _, query := range queries {
			_, err := conn.ExecContext(context.Background(), query)
			b.must(err)
		}
	}
	exec("CREATE TABLE gate (n INTEGER)")
	exec(lock...)
	goOn = sync.OnceFunc(func() {
		exec(unlock)
		_ = conn.Close()
	})
	b.Cleanup(goOn)
	return "INSERT INTO gate (n) VALUES (1);", goOn
}

// migrating starts a process, and returns when it has applied the first of two migrations and is in
// the middle of the second. That one ends after goOn.
func migrating(b *migrateBench, c migrateCommand, flags string) (holder *migrateProcess, path string, goOn func()) {
	b.Helper()
	statement, goOn := blocking(b)
	path = "-path " + folder(b.T, map[string]string{
		"1_quick.up.sql": "CREATE TABLE quick (n INTEGER);", "2_slow.up.sql": statement,
	}) + " " + flags + " "
	holder = startMigrate(b.T, c.command(b.url, strings.Fields(path+"up")...))
	holder.collect("applying 2_slow …")
	b.waitForBlocked(2)
	return holder, path, goOn
}

// The holder is killed in the middle of a migration. A session lock is free at once, a lease after
// its TTL. If DDL can be rolled back, the next process applies that migration. Otherwise the
// version is dirty, and the next process says so.
func TestMigrateLockHolderKilled(t *testing.T) {
	c := buildMigrate(t)
	eachServer(t, func(t *testing.T, s *servers.Server) {
		for _, test := range []struct {
			kind        string
			least, most time.Duration
		}{{"session", 0, 5 * time.Second}, {"lease", 1500 * time.Millisecond, 15 * time.Second}} {
			b := newMigrateBench(t, s.Database(t))
			first, path, goOn := migrating(b, c, "--lock-ttl 3s --lock "+test.kind)
			next := startMigrate(t, c.command(b.url, strings.Fields(path+"--lock-timeout 1m up")...))
			next.collect("waiting: another process is migrating this database")
			if err := first.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			// The server notices only after the statement that its client is gone. Until then it
			// keeps golang-migrate's own lock.
			goOn()
			code := 3
			if b.Migrations.Transactional { // that version was never committed
				next.collect("2/u slow")
				code = 0
			} else {
				next.collect("error: the database is dirty at version 2")
			}
			took := time.Since(killed)
			next.end(code)
			if took < test.least || took > test.most {
				t.Errorf("%s: the next process had the lock %v after kill -9, want between %v and %v",
					test.kind, took, test.least, test.most)
			}
			t.Logf("%s: the next process had the lock %v after kill -9", test.kind, took.Round(time.Millisecond))
		}
	})
}

// While another process migrates, a run gives up within a second after its lock timeout. Ctrl-C
// ends the wait and leaves nothing behind. The error after a timeout names the process that
// migrates.
func TestMigrateLockGivesUp(t *testing.T) {
	c := buildMigrate(t)
	eachServer(t, func(t *testing.T, s *servers.Server) {
		for _, kind := range []string{"session", "lease"} {
			b := newMigrateBench(t, s.Database(t))
			holder, path, goOn := migrating(b, c, "--lock "+kind)
			holderName := fmt.Sprintf("sqllock-migrate@%s[%d]", hostname(t), holder.Process.Pid)
			if s.Engine == "mariadb" && kind == "session" {
				holderName = "connection " // MariaDB doesn't show the name that a connection gives itself
			}
			timeout := 2 * time.Second
			if s.Substitute(t) != "" { // Babelfish takes a second for each new connection
				timeout = 8 * time.Second
				if kind == "session" {
					holderName = "a process that the database doesn't name"
				}
			}
			connections := func() int { return scan[int](t, b.Database, connectionsQuery(s.Engine)) }
			before := connections()

			stall := watchOutage(t)
			begun := time.Now()
			line := fmt.Sprintf("%s--lock-timeout %v up", path, timeout.Seconds())
			output, code := c.run(t, b.url, strings.Fields(line)...)
			took, late := time.Since(begun), stall()
			says := fmt.Sprintf("held the migration lock for %v: ", timeout)
			if code != 5 || !strings.Contains(output, says) || !strings.Contains(output, holderName) {
				t.Errorf("%s: exit code %d: %s\nwant 5, and output that contains %q", kind, code, output, holderName)
			}
			if took < timeout || took > timeout+time.Second+2*late {
				t.Errorf("%s: a lock timeout of %v took %v; timers were %v late at most", kind, timeout, took, late)
			}
			t.Logf("%s: a lock timeout of %v took %v", kind, timeout, took.Round(time.Millisecond))

			waiter := startMigrate(t, c.command(b.url, strings.Fields(path+"--lock-timeout 5m up")...))
			waiter.collect("waiting: another process is migrating this database")
			waiter.interrupt()
			waiter.collect("error: stopped before anything was changed")
			waiter.end(130)
			await(t, "the waiter's connections to end", stepTimeout, func() bool { return connections() <= before })
			if kind == "lease" {
				if n := scan[int](t, b.Database, "SELECT count(*) FROM sqllock_leases"); n != 1 {
					t.Errorf("there are %d leases, want only the holder's", n)
				}
			}
			goOn()
			holder.collect("2/u slow")
			holder.end(0)
			c.want(t, b.url, 0, "no change", path+"up")
			c.want(t, b.url, 0, "nobody holds the migration lock", "unlock")
		}
	})
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func connectionsQuery(engine string) string {
	if strings.HasPrefix(engine, "postgres") {
		return "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
	}
	if engine == "sqlserver" {
		// Babelfish also has rows without a session, which COUNT(session_id) skips.
		return "SELECT COUNT(session_id) FROM sys.dm_exec_sessions WHERE database_id = DB_ID()"
	}
	return "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE()"
}

// Processes that wait for the lock do not block CREATE INDEX CONCURRENTLY: it completes while ten
// wait.
func TestMigrateLockIndexConcurrently(t *testing.T) {
	t.Parallel()
	c := buildMigrate(t)
	for _, engine := range servers.OneOfEachKind(t, "postgres15", "postgres18") {
		for _, kind := range []string{"session", "lease"} {
			t.Run(engine+"/"+kind, func(t *testing.T) {
				t.Parallel()
				b := newMigrateBench(t, servers.Start(t, engine).Database(t))
				path := "-path " + folder(t, map[string]string{
					"1_table.up.sql": "CREATE TABLE big (n INTEGER); INSERT INTO big SELECT generate_series(1, 10000);",
					"2_index.up.sql": "CREATE INDEX CONCURRENTLY big_n ON big (n);",
				}) + " --lock-timeout 5m --lock " + kind + " "
				c.want(t, b.url, 0, "1/u table", path+"up 1")
				writer, err := b.DB.BeginTx(t.Context(), nil) // blocks the index until all ten processes wait
				b.must(err)
				defer writer.Rollback()
				_, err = writer.ExecContext(t.Context(), "INSERT INTO big (n) VALUES (0)")
				b.must(err)

				holder := startMigrate(t, c.command(b.url, strings.Fields(path+"up")...))
				b.waitFor("SELECT 1 FROM pg_stat_progress_create_index " +
					"WHERE datname = current_database() AND phase LIKE 'waiting for writers%'")
				var waiters []*migrateProcess
				for range 10 {
					waiters = append(waiters, startMigrate(t, c.command(b.url, strings.Fields(path+"up")...)))
				}
				for _, waiter := range waiters {
					waiter.collect("waiting: another process is migrating this database")
				}
				begun := time.Now()
				b.must(writer.Commit())
				// A hanging holder is killed, so that the test fails.
				defer time.AfterFunc(stepTimeout, func() { _ = holder.Process.Kill() }).Stop()
				holder.collect("2/u index")
				t.Logf("with ten waiters the index took %v", time.Since(begun).Round(time.Millisecond))
				holder.end(0)
				for _, waiter := range waiters {
					waiter.collect("no change")
					waiter.end(0)
				}
				if !scan[bool](t, b.Database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'big_n'::regclass") {
					t.Error("the index is invalid")
				}
			})
		}
	}
}

// unlock shows a lease, and breaks it after a confirmation. The lease's holder stops before its
// next migration, and says so. Of a session, unlock shows the holder and how to end it.
func TestMigrateUnlock(t *testing.T) {
	c := buildMigrate(t)
	eachServer(t, func(t *testing.T, s *servers.Server) {
		b := newMigrateBench(t, s.Database(t))
		statement, goOn := blocking(b)
		path := "-path " + folder(t, map[string]string{
			"1_slow.up.sql": statement, "2_next.up.sql": "CREATE TABLE next (n INTEGER);",
		}) + " "
		holder := startMigrate(t, c.command(b.url, strings.Fields(path+"--lock lease up")...))
		holder.collect("applying 1_slow …")
		b.waitForBlocked(1)
		holderName := fmt.Sprintf("a lease, is held by sqllock-migrate@%s[%d]", hostname(t), holder.Process.Pid)
		c.want(t, b.url, 1, holderName, "unlock") // there is no terminal for the confirmation
		c.want(t, b.url, 0, holderName, "unlock --force")
		c.want(t, b.url, 0, "nobody holds", "unlock --force")
		goOn()
		holder.collect("error: stopped at version 1, cleanly, with 1 more to apply, " +
			"because the migration lock was lost")
		holder.end(6)

		session, err := lock.Take(t.Context(), b.Dialect, &lock.Options{
			Kind: lock.Session, Name: lockName(b), Holder: "somebody else",
		})
		b.must(err)
		c.want(t, b.url, 5, "the migration lock, a session, is held by ", "unlock --force")
		c.want(t, b.url, 5, b.Migrations.EndSession, "unlock")
		b.must(session.Release(t.Context()))
		c.want(t, b.url, 0, "2/u next", path+"up")
	})
}

// Even with an account that has hardly any rights, unlock reports the lock as free only if it is.
func TestMigrateUnlockWithoutRights(t *testing.T) {
	c := buildMigrate(t)
	const unlock = "unlock --lock-timeout 2m"
	eachServer(t, func(t *testing.T, s *servers.Server) {
		b := newMigrateBench(t, s.Database(t))
		stranger := withoutRights(b)
		free, code := "nobody holds the migration lock\n", 0
		if b.Dialect.Name() == "mysql" { // it hides from this user whether the tables of leases exist
			free, code = "this user needs SELECT", 1
		}
		c.want(t, stranger, code, free, unlock)
		c.want(t, stranger, 0, "nobody holds the migration lock as a session", unlock+" --lock=session")

		session, err := lock.Take(t.Context(), b.Dialect, &lock.Options{Kind: lock.Session, Name: lockName(b)})
		b.must(err)
		c.want(t, stranger, 5, "the migration lock, a session, is held by ", unlock+" --force")
		c.want(t, stranger, 5, "the migration lock, a session, is held by ", unlock+" --lock=none")
		output, got := c.run(t, stranger, strings.Fields(unlock+" --json")...)
		_, see, _ := strings.Cut(b.Migrations.SeeSession, "permission ")
		see, _, _ = strings.Cut(see, " (")
		hidden := strings.Contains(output, `"hidden": true`)
		if got != 5 || strings.Contains(output, "nobody") ||
			hidden != (s.Engine == "sqlserver") || hidden && !strings.Contains(output, see) {
			t.Errorf("unlock, of a lock that a session holds, ends with exit code %d: %s", got, output)
		}
		b.must(session.Release(t.Context()))
		c.want(t, stranger, code, free, unlock)

		b.must(migrations.Up(t.Context(), b.DB, b.Migrations))
		lease, err := lock.Take(t.Context(), b.Dialect, &lock.Options{Kind: lock.Lease, Name: lockName(b)})
		b.must(err)
		output, code = c.run(t, stranger, strings.Fields(unlock+" --force")...)
		if code == 0 || strings.Contains(output, "nobody") {
			t.Errorf("unlock, of a lease in tables that it may not read, ends with exit code %d: %s", code, output)
		}
		b.must(lease.Release(t.Context()))
	})
}

// withoutRights creates an account that may only connect to the database, and returns its URL.
func withoutRights(b *migrateBench) string {
	b.Helper()
	const password = "Sqllock-12345"
	u, err := url.Parse(b.url)
	b.must(err)
	schema := strings.TrimPrefix(u.Path, "/")
	if b.Dialect.Name() == "sqlserver" {
		schema = u.Query().Get("database")
	}
	name := "stranger_" + schema[max(0, len(schema)-20):] // MySQL allows names of up to 32 characters
	made := []string{"CREATE ROLE " + name + " LOGIN PASSWORD '" + password + "'"}
	dropped := []string{"DROP ROLE " + name}
	switch b.Dialect.Name() {
	case "mysql":
		made = []string{
			"CREATE USER " + name + " IDENTIFIED BY '" + password + "'",
			"GRANT CREATE TEMPORARY TABLES ON `" + schema + "`.* TO " + name, // without any right it may not connect
		}
		dropped = []string{"DROP USER " + name}
	case "sqlserver":
		made = []string{
			"CREATE LOGIN " + name + " WITH PASSWORD = '" + password + "'",
			"CREATE USER " + name + " FOR LOGIN " + name,
		}
		dropped = []string{"DROP USER " + name, "DROP LOGIN " + name}
	}
	execute(b.T, b.Database, made...)
	b.Cleanup(func() {
		for _, statement := range dropped {
			_, err := b.DB.ExecContext(context.Background(), statement)
			b.must(err)
		}
	})
	u.User = url.UserPassword(name, password)
	return u.String()
}

// lockName returns the name of the migration lock for the version table that golang-migrate uses.
func lockName(b *migrateBench) string {
	switch b.Dialect.Name() {
	case "postgres":
		return "migrations of public.schema_migrations"
	case "sqlserver":
		return "migrations of dbo.schema_migrations"
	}
	return "migrations of schema_migrations"
}

// sqllock-migrate and golang-migrate wait for each other, so that a fleet may run both.
func TestMigrateLockBesideGolangMigrate(t *testing.T) {
	c := buildMigrate(t)
	eachServer(t, func(t *testing.T, s *servers.Server) {
		b := newMigrateBench(t, s.Database(t))
		theirs, err := golangmigrate.Open(golangMigrateURL(b.url))
		b.must(err)
		b.must(theirs.Lock())
		path := "-path " + folder(t, steps(3)) + " --lock session "
		c.want(t, b.url, 5, "another process", path+"--lock-timeout 2 up")
		b.must(theirs.Unlock())
		c.want(t, b.url, 0, "3/u step", path+"up")

		holder, _, goOn := migrating(newMigrateBench(t, s.Database(t)), c, "--lock session")
		_ = holder
		goOn()
		holder.collect("2/u slow")
		holder.end(0)
		b.must(theirs.Close())
	})
}

// Programs that call Run at the same time, each on its own pool, apply each migration once.
func TestMigrateRun(t *testing.T) {
	eachToMigrate(t, func(b *migrateBench) {
		source := fstest.MapFS{}
		for name, text := range steps(5) {
			source[name] = &fstest.MapFile{Data: []byte(text)}
		}
		b.atOnce(10, func(one *open.Database) ([]migrations.Step, error) {
			return migrations.Run(b.Context(), one.DB, one.Migrations, source, &migrations.Options{
				LockTimeout: stepTimeout, Dialect: one.Dialect,
			})
		})
		if n := scan[int](b, b.Database, "SELECT count(*) FROM traces"); n != 4 {
			b.Errorf("the table has %d rows, want 4", n)
		}
		// The command reads the same version table.
		c := buildMigrate(b.T)
		c.want(b.T, b.url, 0, "no change", "-path "+folder(b.T, steps(5))+" up")
		c.want(b.T, b.url, 0, "5\n", "-path "+folder(b.T, steps(5))+" version")
	})
}

// The lock is lost in the middle of a migration. That migration is finished and recorded, and no
// other is begun.
func TestMigrateRunLosesTheLock(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		for _, kind := range []lock.Kind{lock.Session, lock.Lease} {
			b := newMigrateBench(t, s.Database(t))
			source := fstest.MapFS{}
			for name, text := range steps(3) {
				source[name] = &fstest.MapFile{Data: []byte(text)}
			}
			m, err := migrations.NewApplication(b.DB, b.Migrations, source, &migrations.Options{
				Lock: kind, LockTTL: time.Second, Dialect: b.Dialect,
				Progress: func(step migrations.Step) {
					if step.Version == 2 {
						loseLock(b, kind)
					}
				},
			})
			b.must(err)
			_, err = m.Up(t.Context(), migrations.All)
			lost, ok := errors.AsType[*migrations.LockLostError](err)
			if !ok || !errors.Is(err, sqllock.ErrLost) || lost.Version != 2 || lost.Remaining != 1 {
				t.Errorf("%s: %v; want ErrLost at version 2, with 1 migration left", kind, err)
			}
			done, err := m.Up(t.Context(), migrations.All)
			if err != nil || len(done) != 1 {
				t.Errorf("%s: the next run applied %v, %v; want 1 migration", kind, done, err)
			}
		}
	})
}

// loseLock ends the lease or the session that holds the lock.
func loseLock(b *migrateBench, kind lock.Kind) {
	b.Helper()
	if kind == lock.Lease {
		_, err := b.DB.ExecContext(b.Context(), "DELETE FROM sqllock_leases")
		b.must(err)
	} else {
		terminate(b)
	}
	time.Sleep(time.Second) // a TTL; the heartbeat finds out within a third of it
}

// terminate ends the session that holds the lock, as the output of unlock advises.
func terminate(b *migrateBench) {
	b.Helper()
	if b.Dialect.Name() == "postgres" {
		_, err := b.DB.ExecContext(b.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks
			WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND pid NOT IN (SELECT pid FROM pg_stat_activity WHERE application_name = 'sqllock')`)
		b.must(err)
		return
	}
	query := `SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND command = 'Sleep'
		AND id NOT IN (CONNECTION_ID()) ORDER BY id DESC LIMIT 1`
	if b.Dialect.Name() == "sqlserver" { // the session that has stored the holder's name in its context_info
		query = "SELECT session_id FROM sys.dm_exec_sessions " +
			"WHERE database_id = DB_ID() AND SUBSTRING(context_info, 1, 1) > 0x00"
	}
	id := scan[int](b, b.Database, query)
	_, err := b.DB.ExecContext(b.Context(), fmt.Sprintf("KILL %d", id))
	b.must(err)
}

// Twenty processes that migrate at the same moment cause no error in the server's log.
func TestMigrateLockMakesNoNoise(t *testing.T) {
	t.Parallel()
	c := buildMigrate(t)
	for _, kind := range []string{"session", "lease"} {
		t.Run(kind, func(t *testing.T) {
			eachPrivate(t, func(t *testing.T, engine string) {
				server := servers.Private(t, engine)
				b := newMigrateBench(t, server.URL)
				before := logLength(t, server)
				migratedOnce(t, c, 1, func() (string, string) { return server.URL, server.URL }, "--lock", kind)
				for _, line := range noisy(t, server, b.Database, before) {
					t.Errorf("%s: in the server's log: %s", kind, line)
				}
			})
		})
	}
}
