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

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// steps is an application whose migrations leave a trace each time they are applied: a row in a table without a key.
func steps(n int) map[string]string {
	files := map[string]string{"1_book.up.sql": "CREATE TABLE book (step INTEGER);"}
	for i := 2; i <= n; i++ {
		files[fmt.Sprintf("%d_step.up.sql", i)] = fmt.Sprintf("INSERT INTO book (step) VALUES (%d);", i)
	}
	return files
}

// crowd starts n commands at the same moment: each waits for its stdin to end, in a shell that then becomes the command.
func (c migrateCommand) crowd(t *testing.T, n int, database string, args ...string) []*crowded {
	t.Helper()
	var all []*crowded
	for range n {
		cmd := exec.Command("/bin/sh", append([]string{"-c", `read -r _; exec "$0" "$@"`, c.path}, args...)...)
		cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL="+database)
		one := &crowded{Cmd: cmd}
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

type crowded struct {
	*exec.Cmd
	gate io.Closer
	out  bytes.Buffer
}

// migratedOnce starts 20 processes at the same moment, rounds times on a database of its own each: none fails, and every
// migration is applied exactly once.
func migratedOnce(t *testing.T, c migrateCommand, rounds int, database func() (url, direct string), args ...string) {
	const processes, last = 20, 8
	dir := folder(t, steps(last))
	var slowest time.Duration
	for range rounds {
		db, direct := database()
		begun := time.Now()
		applied := map[string]int{}
		for _, one := range c.crowd(t, processes, db, append([]string{"--source", dir, "--lock-timeout", "2m", "up"}, args...)...) {
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
		if rows, steps := scan[int](t, target, "SELECT count(*) FROM book"), scan[int](t, target, "SELECT count(DISTINCT step) FROM book"); rows != last-1 || steps != last-1 {
			t.Errorf("%d rows of %d steps in the book, want %d of each", rows, steps, last-1)
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

// rounds is how often, so that the short version is short.
func rounds() int {
	if long {
		return 20
	}
	return 2
}

func databases(t *testing.T, s *servers.Server) func() (url, direct string) {
	return func() (string, string) {
		db := s.Database(t)
		return db, db
	}
}

// Twenty processes that all migrate when they start, on every engine and with each kind of lock that it has.
func TestMigrateLockTwenty(t *testing.T) {
	c := buildMigrate(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		migratedOnce(t, c, rounds(), databases(t, s))
	})
}

func TestMigrateLockTwentyLease(t *testing.T) {
	c := buildMigrate(t)
	eachServer(t, func(t *testing.T, s *servers.Server) {
		migratedOnce(t, c, rounds(), databases(t, s), "--lock=lease")
	})
}

// Behind a pooler in transaction mode auto finds out that it must be a lease.
func TestMigrateLockPgBouncer(t *testing.T) {
	c := buildMigrate(t)
	server := servers.Start(t, "postgres15")
	through := func(db string, settings ...string) string {
		// That statements aren't prepared is the command's own choice.
		return strings.Replace(servers.PgBouncer(t, db, settings...).URL, "default_query_exec_mode=exec&", "", 1)
	}
	migratedOnce(t, c, rounds(), func() (string, string) {
		db := server.Database(t)
		return through(db, "default_pool_size=4"), db
	})
	db := server.Database(t)
	c.want(t, through(db), 0, "taking a lease", "--verbose --source "+folder(t, steps(2))+" up")
	if n := scan[int](t, connect(t, db), "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database WHERE locktype = 'advisory' AND datname = current_database()"); n != 0 {
		t.Errorf("%d advisory locks stayed with the pooler's connections", n)
	}
	b := newMigrateBench(t, db) // past the pooler
	session, err := lock.Take(t.Context(), b.Dialect, &lock.Options{Kind: lock.Session, Name: lockName(b)})
	b.must(err)
	c.want(t, through(db), 0, "nobody holds the migration lock as a lease\nwhether a session holds it can't be found out from here: ", "unlock")
	b.must(session.Release(t.Context()))
}

// On Galera, where GET_LOCK is a node's own, processes that migrate through different nodes exclude each other.
func TestMigrateLockGalera(t *testing.T) {
	nodes := servers.Cluster(t)
	c := buildMigrate(t)
	dir := folder(t, steps(8))
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() { c.want(t, nodes[i%3].URL, 0, "", "--source "+dir+" --lock-timeout 2m up") })
	}
	group.Wait()
	c.want(t, nodes[1].URL, 0, "taking a lease", "--verbose --source "+dir+" up")
	target := connect(t, withParameter(nodes[0].URL, "wsrep_sync_wait=1")) // reads wait for what other nodes have committed
	if n := scan[int](t, target, "SELECT count(*) FROM book"); n != 7 {
		t.Errorf("%d rows in the book, want 7", n)
	}
}

// blocking is a migration that doesn't end before the test says so.
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

// migrating is a process that has applied the first of two migrations and is in the middle of the second.
func migrating(b *migrateBench, c migrateCommand, flags string) (holder *migrateProcess, path string, goOn func()) {
	b.Helper()
	statement, goOn := blocking(b)
	path = "-path " + folder(b.T, map[string]string{
		"1_quick.up.sql": "CREATE TABLE quick (n INTEGER);", "2_slow.up.sql": statement,
	}) + " " + flags + " "
	holder = startMigrate(b.T, c.command(b.url, strings.Fields(path+"up")...))
	holder.hear("1/u quick")
	b.waitForDirty(2)
	return holder, path, goOn
}

// The holder is killed in the middle of a migration. A session lock is free at once, a lease after its TTL; the version is
// dirty, and the next one says so and doesn't hang.
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
			next.hear("waiting: another process is migrating this database")
			if err := first.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			// The server notices that the client of a statement is gone only after the statement, and until then keeps
			// golang-migrate's own lock.
			goOn()
			next.hear("error: the database is dirty at version 2")
			took := time.Since(killed)
			next.end(3)
			if took < test.least || took > test.most {
				t.Errorf("%s: the next one had the lock %v after kill -9, want between %v and %v", test.kind, took, test.least, test.most)
			}
			t.Logf("%s: the next one had the lock %v after kill -9", test.kind, took.Round(time.Millisecond))
		}
	})
}

// While another process migrates: the lock timeout is kept to the second, and Ctrl-C stops the waiting and leaves nothing
// behind. Both say who migrates.
func TestMigrateLockGivesUp(t *testing.T) {
	c := buildMigrate(t)
	eachServer(t, func(t *testing.T, s *servers.Server) {
		for _, kind := range []string{"session", "lease"} {
			b := newMigrateBench(t, s.Database(t))
			holder, path, goOn := migrating(b, c, "--lock "+kind)
			who := fmt.Sprintf("sqllock-migrate@%s[%d]", hostname(t), holder.Process.Pid)
			if s.Engine == "mariadb" && kind == "session" {
				who = "connection " // MariaDB doesn't show what a connection calls itself
			}
			timeout := 2 * time.Second
			if s.StandIn(t) != "" { // Babelfish has a second's work with each new connection
				timeout = 8 * time.Second
				if kind == "session" {
					who = "a process that the database doesn't name"
				}
			}
			connections := func() int { return scan[int](t, b.Database, connectionsQuery(s.Engine)) }
			before := connections()

			stall := watchStalls(t)
			begun := time.Now()
			output, code := c.run(t, b.url, strings.Fields(fmt.Sprintf("%s--lock-timeout %v up", path, timeout.Seconds()))...)
			took, late := time.Since(begun), stall()
			if code != 5 || !strings.Contains(output, fmt.Sprintf("held the migration lock for %v: ", timeout)) || !strings.Contains(output, who) {
				t.Errorf("%s: exit code %d: %s\nwant 5, and %s", kind, code, output, who)
			}
			if took < timeout || took > timeout+time.Second+2*late {
				t.Errorf("%s: a lock timeout of %v took %v; timers were %v late at most", kind, timeout, took, late)
			}
			t.Logf("%s: a lock timeout of %v took %v", kind, timeout, took.Round(time.Millisecond))

			waiter := startMigrate(t, c.command(b.url, strings.Fields(path+"--lock-timeout 5m up")...))
			waiter.hear("waiting: another process is migrating this database")
			waiter.interrupt()
			waiter.hear("error: stopped before anything was changed")
			waiter.end(130)
			await(t, "the waiter's connections to end", patience, func() bool { return connections() <= before })
			if kind == "lease" {
				if n := scan[int](t, b.Database, "SELECT count(*) FROM sqllock_leases"); n != 1 {
					t.Errorf("%d leases, want the holder's alone", n)
				}
			}
			goOn()
			holder.hear("2/u slow")
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
		return "SELECT COUNT(session_id) FROM sys.dm_exec_sessions WHERE database_id = DB_ID()" // Babelfish has rows of nobody, too
	}
	return "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE()"
}

// Who waits for the lock keeps CREATE INDEX CONCURRENTLY from nothing: it goes through while ten wait.
func TestMigrateLockIndexConcurrently(t *testing.T) {
	c := buildMigrate(t)
	for _, engine := range []string{"postgres15", "postgres18"} {
		for _, kind := range []string{"session", "lease"} {
			t.Run(engine+"/"+kind, func(t *testing.T) {
				t.Parallel()
				b := newMigrateBench(t, servers.Start(t, engine).Database(t))
				path := "-path " + folder(t, map[string]string{
					"1_table.up.sql": "CREATE TABLE big (n INTEGER); INSERT INTO big SELECT generate_series(1, 10000);",
					"2_index.up.sql": "CREATE INDEX CONCURRENTLY big_n ON big (n);",
				}) + " --lock-timeout 5m --lock " + kind + " "
				c.want(t, b.url, 0, "1/u table", path+"up 1")
				writer, err := b.DB.BeginTx(t.Context(), nil) // for which the index waits, until all ten wait
				b.must(err)
				defer writer.Rollback()
				_, err = writer.ExecContext(t.Context(), "INSERT INTO big (n) VALUES (0)")
				b.must(err)

				holder := startMigrate(t, c.command(b.url, strings.Fields(path+"up")...))
				b.waitFor("SELECT 1 FROM pg_stat_progress_create_index WHERE datname = current_database() AND phase LIKE 'waiting for writers%'")
				var waiters []*migrateProcess
				for range 10 {
					waiters = append(waiters, startMigrate(t, c.command(b.url, strings.Fields(path+"up")...)))
				}
				for _, waiter := range waiters {
					waiter.hear("waiting: another process is migrating this database")
				}
				begun := time.Now()
				b.must(writer.Commit())
				defer time.AfterFunc(patience, func() { _ = holder.Process.Kill() }).Stop() // and so fail
				holder.hear("2/u index")
				t.Logf("with ten waiters the index took %v", time.Since(begun).Round(time.Millisecond))
				holder.end(0)
				for _, waiter := range waiters {
					waiter.hear("no change")
					waiter.end(0)
				}
				if !scan[bool](t, b.Database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'big_n'::regclass") {
					t.Error("the index is invalid")
				}
			})
		}
	}
}

// A lease is shown, and broken after asking; its holder stops before its next migration, and says so. A session is shown,
// and how to end it.
func TestMigrateUnlock(t *testing.T) {
	c := buildMigrate(t)
	eachServer(t, func(t *testing.T, s *servers.Server) {
		b := newMigrateBench(t, s.Database(t))
		statement, goOn := blocking(b)
		path := "-path " + folder(t, map[string]string{
			"1_slow.up.sql": statement, "2_next.up.sql": "CREATE TABLE next (n INTEGER);",
		}) + " "
		holder := startMigrate(t, c.command(b.url, strings.Fields(path+"--lock lease up")...))
		b.waitForDirty(1)
		who := fmt.Sprintf("a lease, is held by sqllock-migrate@%s[%d]", hostname(t), holder.Process.Pid)
		c.want(t, b.url, 1, who, "unlock") // nobody answers
		c.want(t, b.url, 0, who, "unlock --force")
		c.want(t, b.url, 0, "nobody holds", "unlock --force")
		goOn()
		holder.hear("error: stopped at version 1, cleanly, with 1 more to apply, because the migration lock was lost")
		holder.end(6)

		session, err := lock.Take(t.Context(), b.Dialect, &lock.Options{Kind: lock.Session, Name: lockName(b), Holder: "somebody else"})
		b.must(err)
		c.want(t, b.url, 5, "the migration lock, a session, is held by ", "unlock --force")
		c.want(t, b.url, 5, b.Migrations.EndSession, "unlock")
		b.must(session.Release(t.Context()))
		c.want(t, b.url, 0, "2/u next", path+"up")
	})
}

// To an account that may do next to nothing, nobody holds the lock only if nobody does.
func TestMigrateUnlockWithoutRights(t *testing.T) {
	c := buildMigrate(t)
	const unlock = "unlock --lock-timeout 2m"
	eachServer(t, func(t *testing.T, s *servers.Server) {
		b := newMigrateBench(t, s.Database(t))
		stranger := withoutRights(b)
		free, code := "nobody holds the migration lock\n", 0
		if b.Dialect.Name() == "mysql" { // which doesn't say whether there are the tables for leases
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
		if got != 5 || strings.Contains(output, "nobody") || hidden != (s.Engine == "sqlserver") || hidden && !strings.Contains(output, see) {
			t.Errorf("a session: unlock answers %d: %s", got, output)
		}
		b.must(session.Release(t.Context()))
		c.want(t, stranger, code, free, unlock)

		b.must(migrations.Up(t.Context(), b.DB, b.Migrations))
		lease, err := lock.Take(t.Context(), b.Dialect, &lock.Options{Kind: lock.Lease, Name: lockName(b)})
		b.must(err)
		if output, code := c.run(t, stranger, strings.Fields(unlock+" --force")...); code == 0 || strings.Contains(output, "nobody") {
			t.Errorf("a lease in tables that may not be read: unlock answers %d: %s", code, output)
		}
		b.must(lease.Release(t.Context()))
	})
}

// withoutRights makes an account that may connect to the database, and answers the URL for it.
func withoutRights(b *migrateBench) string {
	b.Helper()
	const password = "Sqllock-12345"
	u, err := url.Parse(b.url)
	b.must(err)
	schema := strings.TrimPrefix(u.Path, "/")
	if b.Dialect.Name() == "sqlserver" {
		schema = u.Query().Get("database")
	}
	name := "stranger_" + schema[max(0, len(schema)-20):] // MySQL has names of up to 32 characters
	made, dropped := []string{"CREATE ROLE " + name + " LOGIN PASSWORD '" + password + "'"}, []string{"DROP ROLE " + name}
	switch b.Dialect.Name() {
	case "mysql":
		made = []string{
			"CREATE USER " + name + " IDENTIFIED BY '" + password + "'",
			"GRANT CREATE TEMPORARY TABLES ON `" + schema + "`.* TO " + name, // without any it may not even connect
		}
		dropped = []string{"DROP USER " + name}
	case "sqlserver":
		made = []string{"CREATE LOGIN " + name + " WITH PASSWORD = '" + password + "'", "CREATE USER " + name + " FOR LOGIN " + name}
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

// lockName is the lock of the version table that golang-migrate uses.
func lockName(b *migrateBench) string {
	switch b.Dialect.Name() {
	case "postgres":
		return "migrations of public.schema_migrations"
	case "sqlserver":
		return "migrations of dbo.schema_migrations"
	}
	return "migrations of schema_migrations"
}

// A fleet half of which still runs golang-migrate: each waits for the other.
func TestMigrateLockBesideGolangMigrate(t *testing.T) {
	c := buildMigrate(t)
	eachServer(t, func(t *testing.T, s *servers.Server) {
		b := newMigrateBench(t, s.Database(t))
		migrateURL, err := b.Migrations.MigrateURL(b.url)
		b.must(err)
		theirs, err := golangmigrate.Open(migrateURL)
		b.must(err)
		b.must(theirs.Lock())
		path := "-path " + folder(t, steps(3)) + " --lock session "
		c.want(t, b.url, 5, "another process", path+"--lock-timeout 2 up")
		b.must(theirs.Unlock())
		c.want(t, b.url, 0, "3/u step", path+"up")

		holder, _, goOn := migrating(newMigrateBench(t, s.Database(t)), c, "--lock session")
		_ = holder
		goOn()
		holder.hear("2/u slow")
		holder.end(0)
		b.must(theirs.Close())
	})
}

// Programs that migrate when they start, on their own pools.
func TestMigrateRun(t *testing.T) {
	eachToMigrate(t, func(b *migrateBench) {
		source := fstest.MapFS{}
		for name, text := range steps(5) {
			source[name] = &fstest.MapFile{Data: []byte(text)}
		}
		b.atOnce(10, func(one *open.Database) ([]migrations.Step, error) {
			return migrations.Run(b.Context(), one.DB, one.Migrations, source, &migrations.Options{
				LockTimeout: patience, Dialect: one.Dialect,
			})
		})
		if n := scan[int](b, b.Database, "SELECT count(*) FROM book"); n != 4 {
			b.Errorf("%d rows in the book, want 4", n)
		}
		// What `migrate` and the command read is the same table.
		c := buildMigrate(b.T)
		c.want(b.T, b.url, 0, "no change", "-path "+folder(b.T, steps(5))+" up")
		c.want(b.T, b.url, 0, "5\n", "-path "+folder(b.T, steps(5))+" version")
	})
}

// On MySQL a pool that takes one statement at a time is refused before anything is changed.
func TestMigrateRunSeveralStatements(t *testing.T) {
	source := fstest.MapFS{"1_two.up.sql": {Data: []byte("CREATE TABLE a (n INTEGER);\nCREATE TABLE b (n INTEGER);")}}
	eachToMigrate(t, func(b *migrateBench) {
		_, err := migrations.Run(b.Context(), b.DB, b.Migrations, source, nil)
		if b.Dialect.Name() != "mysql" {
			b.must(err)
			return
		}
		if err == nil || !strings.Contains(err.Error(), "multiStatements=true") {
			b.Errorf("one statement at a time: %v", err)
		}
		u, err := url.Parse(b.url)
		b.must(err)
		several := newMigrateBench(b.T, withParameter(u.String(), "multiStatements=true"))
		_, err = migrations.Run(b.Context(), several.DB, several.Migrations, source, nil)
		b.must(err)
	})
}

// The lock is lost in the middle of a migration: that one is finished and recorded, and no other is begun.
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
				t.Errorf("%s: %v", kind, err)
			}
			done, err := m.Up(t.Context(), migrations.All)
			if err != nil || len(done) != 1 {
				t.Errorf("%s: then %v, %v", kind, done, err)
			}
		}
	})
}

// loseLock ends what keeps the lock.
func loseLock(b *migrateBench, kind lock.Kind) {
	b.Helper()
	if kind == lock.Lease {
		_, err := b.DB.ExecContext(b.Context(), "DELETE FROM sqllock_leases")
		b.must(err)
	} else {
		terminate(b)
	}
	time.Sleep(time.Second) // its TTL: the heartbeat finds out within a third of it
}

// terminate does what `unlock` says of sessions.
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
	if b.Dialect.Name() == "sqlserver" { // the one that says who has it
		query = "SELECT session_id FROM sys.dm_exec_sessions WHERE database_id = DB_ID() AND SUBSTRING(context_info, 1, 1) > 0x00"
	}
	id := scan[int](b, b.Database, query)
	_, err := b.DB.ExecContext(b.Context(), fmt.Sprintf("KILL %d", id))
	b.must(err)
}

// And the servers see no error in all that.
func TestMigrateLockMakesNoNoise(t *testing.T) {
	c := buildMigrate(t)
	for _, kind := range []string{"session", "lease"} {
		eachPrivate(t, func(t *testing.T, engine string) {
			server := servers.Private(t, engine)
			b := newMigrateBench(t, server.URL)
			before := logLength(t, server)
			migratedOnce(t, c, 1, func() (string, string) { return server.URL, server.URL }, "--lock", kind)
			for _, line := range noisy(t, server, b.Database, before) {
				t.Errorf("%s: in the server's log: %s", kind, line)
			}
		})
	}
}
