package integration

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
)

// eachMigrated is eachToMigrate for those of the engines that [servers.OneOfEachKind] chooses.
func eachMigrated(t *testing.T, engines []string, f func(b *migrateBench, engine string)) {
	t.Helper()
	for _, engine := range servers.OneOfEachKind(t, engines...) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f(newMigrateBench(t, servers.Start(t, engine).Database(t)), engine)
		})
	}
}

var (
	postgresServers = []string{"postgres15", "postgres18"}
	mysqlServers    = []string{"mysql", "mariadb"}
)

// apply applies migration files to the database at b's URL. texts has the name and the text of each
// file, alternately.
func (b *migrateBench) apply(options *migrations.Options, texts ...string) ([]migrations.Step, error) {
	b.Helper()
	m, err := migrations.Application(sourceOf(texts...), b.Migrations, b.url, options)
	b.must(err)
	return m.Up(b.Context(), migrations.All)
}

// wantApplied checks the application's version.
func (b *migrateBench) wantApplied(version int, dirty bool) {
	b.Helper()
	m, err := migrations.Application(fstest.MapFS{"1_a.up.sql": {}}, b.Migrations, b.url, nil)
	b.must(err)
	if at, isDirty, err := m.Version(b.Context()); err != nil || at != version || isDirty != dirty {
		b.Errorf("version %d, dirty %v, %v; want %d, %v", at, isDirty, err, version, dirty)
	}
}

// PostgreSQL commits a file and its version in one transaction, unless the file has a statement
// that can't be in a transaction. If such a file fails, the version is dirty, and the error says
// why.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text     string
		says     string // text in the error; if empty, there must be no error
		dirty    string // text in the reason why the version is dirty; if empty, it must not be
		settings string // parameter of the URL
	}{
		"the second statement fails": {
			text: "CREATE TABLE a (n int);\nCREATE TABLE missing.b (n int);",
			says: "2_a.up.sql:2:14: ",
		},
		"a row is refused": {
			text: "CREATE TABLE a (n int UNIQUE);\nINSERT INTO a VALUES (1);\n\n  INSERT INTO a VALUES (1);",
			says: "2_a.up.sql:4:3: ",
		},
		"COMMIT fails": {
			text: "CREATE TABLE a (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1), (1);",
			says: "duplicate key",
		},
		"a transaction in the file": {
			text: "BEGIN;\nCREATE TABLE a (n int);\nSELECT * FROM missing;\nCOMMIT;",
			says: "2_a.up.sql:3:15: ",
		},
		"a transaction in standard SQL": {
			text: "-- é\nSTART TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE a (n int); SELECT 1/0; END",
			says: "2_a.up.sql:2:73: ",
		},
		"a transaction that works": {text: "begin work; CREATE TABLE a (n int); commit work;"},
		"two transactions": {
			text: "BEGIN; CREATE TABLE a (n int); COMMIT;\nBEGIN; SELECT 1/0; COMMIT;",
			says: "division by zero", dirty: "COMMIT in line 1",
		},
		"concurrently": {
			text: "CREATE UNIQUE INDEX CONCURRENTLY ON twice (n);",
			says: "2_a.up.sql:1:1: ", dirty: "CREATE UNIQUE INDEX CONCURRENTLY in line 1",
		},
		"concurrently, works": {text: "CREATE INDEX CONCURRENTLY ON twice (n);"},
		"vacuum":              {text: "VACUUM twice"},
		"a procedure commits": {text: "CALL commits()"},
		"a procedure commits and fails": {
			text: "CALL commits(0)",
			says: "division by zero", dirty: "invalid transaction termination",
		},
		"only the server knows": {
			text: "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p",
			says: "connect", dirty: "CREATE SUBSCRIPTION",
		},
		"no statement": {text: "-- nothing\n;"},
		"one by one": {
			text: "CREATE TYPE e AS ENUM ('a'); ALTER TYPE e ADD VALUE 'b'; " +
				"CREATE TABLE a (x e DEFAULT 'b'); SELECT 'b'::e;",
			settings: "x-multi-statement=true",
		},
		"one by one, and fails": {
			text: "CREATE TABLE a (n int);\nSELECT 1;\nSELECT 1/0",
			says: "2_a.up.sql:3:1: ", settings: "x-multi-statement=true",
		},
		"statement timeout": {
			text: "CREATE TABLE a (n int); SELECT pg_sleep(600)",
			says: "canceling statement", settings: "x-statement-timeout=200",
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachMigrated(t, postgresServers, func(b *migrateBench, _ string) {
				execute(t, b.Database, "CREATE TABLE twice (n int)", "INSERT INTO twice VALUES (1), (1)",
					"CREATE PROCEDURE commits(by int DEFAULT 1) LANGUAGE plpgsql AS 'BEGIN COMMIT; PERFORM 1/by; END'")
				if test.settings != "" {
					b.url = withParameter(b.url, test.settings)
				}
				_, err := b.apply(nil, "1_b.up.sql", "CREATE TABLE b (n int)", "2_a.up.sql", test.text)
				if test.says == "" {
					b.must(err)
					b.wantApplied(2, false)
					return
				}
				refused, ok := errors.AsType[*migrations.StatementError](err)
				switch {
				case err == nil || !strings.Contains(err.Error(), test.says):
					b.Fatalf("the error\n%v\ndoes not contain %q", err, test.says)
				case test.dirty == "" && ok && (refused.Dirty || refused.Version != 1):
					b.Errorf("%#v; want version 1, not dirty", refused)
				case test.dirty != "" && (!ok || !refused.Dirty || !strings.Contains(refused.Reason, test.dirty)):
					b.Errorf("the error\n%#v\ndoes not report a dirty version because of %q", err, test.dirty)
				}
				if test.dirty != "" {
					b.wantApplied(2, true)
					return
				}
				b.wantApplied(1, false)
				if n := scan[int](b, b.Database, "SELECT count(*) FROM pg_class WHERE relname = 'a'"); n != 0 {
					b.Error("the table of the failed migration is there")
				}
			})
		})
	}
}

// A file with COPY FROM STDIN fails at once, under each kind of lock, and the error names the line.
func TestMigrateCopyFromClient(t *testing.T) {
	t.Parallel()
	c := buildMigrate(t)
	eachMigrated(t, postgresServers, func(b *migrateBench, _ string) {
		for i, text := range []string{
			"CREATE TABLE t (i int);\nCOPY t FROM STDIN;\n",
			"CREATE TABLE t (i int);\n\ncopy t (i) from stdin with (format csv)",
			"CREATE TABLE t (i int); SELECT 1;\nCOPY t FROM STDIN; COPY t TO STDOUT;",
		} {
			for _, kind := range []string{"session", "lease", "none"} {
				path := "-path " + folder(b.T, map[string]string{"1_c.up.sql": text}) + " --lock " + kind + " "
				output, code := c.run(b.T, b.url, strings.Fields(path+"up")...)
				line := []int{2, 3, 2}[i]
				if code != 1 || !strings.Contains(output, fmt.Sprintf("error: 1_c.up.sql:%d:1: ", line)) ||
					!strings.Contains(output, "no standard input to copy data from") {
					b.Errorf("%s, under --lock %s, ends with exit code %d: %s", text, kind, code, output)
				}
			}
		}
		b.wantApplied(-1, false)
	})
}

// endless returns migrations that don't end, by what the server does meanwhile.
func endless(engine string) map[string]string {
	switch {
	case strings.HasPrefix(engine, "postgres"):
		return map[string]string{
			"sleeps": "CREATE TABLE a (n int); SELECT pg_sleep(3600); CREATE TABLE c (n int);",
			"loops":  "DO 'BEGIN LOOP PERFORM 1; END LOOP; END'",
			"waits":  "LOCK TABLE gate; CREATE TABLE a (n int)",
			"alone":  "CREATE INDEX CONCURRENTLY ON gate (n)",
		}
	case engine == "sqlite":
		return map[string]string{
			"loops": "CREATE TABLE a (n int); " +
				"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
		}
	}
	return map[string]string{
		"sleeps": "CREATE TABLE a (n int); DO SLEEP(3600); CREATE TABLE c (n int)",
		"waits":  "ALTER TABLE gate ADD m int",
		"loops":  "DO BENCHMARK(1000000000000, SHA2('gate', 256))",
	}
}

// A signal ends a run within the documented time, whatever the statement does. The statement is
// canceled in the server, and the message says in which state the database is.
func TestMigrateCancelled(t *testing.T) {
	t.Parallel()
	c := buildMigrate(t)
	const within = 6 * time.Second // --stop-timeout and five seconds
	for _, engine := range servers.OneOfEachKind(t, append([]string{"sqlite"}, serverEngines...)...) {
		for name, text := range endless(engine) {
			t.Run(engine+"/"+name, func(t *testing.T) {
				t.Parallel()
				b := newMigrateBench(t, servers.Start(t, engine).Database(t))
				if engine != "sqlite" {
					_, goOn := blocking(b)
					defer goOn()
				}
				path := "-path " + folder(t, map[string]string{
					"1_quick.up.sql": "CREATE TABLE quick (n int);", "2_endless.up.sql": text, "3_never.up.sql": "",
				}) + " "
				p := startMigrate(t, c.command(b.url, strings.Fields(path+"--stop-timeout 1 up")...))
				p.collect("applying 2_endless …")
				running := func() int { return runningMigrations(b, engine) }
				if engine != "sqlite" {
					await(t, "the statement to be under way", stepTimeout, func() bool { return running() > 0 })
				}
				stall := watchOutage(t)
				if err := p.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				transactional := b.Migrations.Transactional && name != "alone"
				if transactional {
					p.collect("error: stopped in 2_endless.up.sql, which was cancelled and undone: " +
						"the database is at version 1 (-1 is none), with 2 more")
				} else {
					p.collect("error: stopped in 2_endless.up.sql, whose statement was cancelled: " +
						"the version is 2 and dirty")
				}
				p.end(130)
				if took, late := time.Since(begun), stall(); took > within+2*late {
					t.Errorf("the run ended %v after the signal; timers were %v late at most", took, late)
				} else {
					t.Logf("the run ended %v after the signal", took.Round(time.Millisecond))
				}
				if n := running(); n != 0 {
					t.Errorf("%d statements are still running in the server", n)
				}
				if transactional {
					b.wantApplied(1, false)
				} else {
					b.wantApplied(2, true)
				}
			})
		}
	}
}

// runningMigrations returns how many statements of migrations the server is running.
func runningMigrations(b *migrateBench, engine string) int {
	switch {
	case engine == "sqlite":
		return 0 // there is no server
	case strings.HasPrefix(engine, "postgres"):
		return scan[int](b, b.Database, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND state = 'active'
			AND pid <> pg_backend_pid() AND (query ~ 'pg_sleep|LOOP|gate')`)
	}
	return scan[int](b, b.Database, `SELECT count(*) FROM information_schema.processlist
		WHERE db = DATABASE() AND id <> CONNECTION_ID() AND command = 'Query' AND info REGEXP 'SLEEP|gate'`)
}

// The server is frozen during a migration. A signal ends the run within the same time as otherwise.
func TestMigrateCancelledServerFrozen(t *testing.T) {
	t.Parallel()
	c := buildMigrate(t)
	for _, engine := range []string{"postgres15", "mysql"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			path := "-path " + folder(t, map[string]string{"1_slow.up.sql": sleepStatement(engine, "600")}) + " "
			p := startMigrate(t, c.command(server.URL, strings.Fields(path+"--stop-timeout 1 up")...))
			b := newMigrateBench(t, server.URL)
			p.collect("applying 1_slow …")
			running := func() bool { return runningMigrations(b, engine) > 0 }
			await(t, "the statement to be under way", stepTimeout, running)
			server.Stop()
			defer server.Cont()
			begun := time.Now()
			stall := watchOutage(t)
			p.interrupt()
			p.collect("error: stopped in 1_slow.up.sql, without an answer from the database")
			p.end(130)
			if took, late := time.Since(begun), stall(); took > 6*time.Second+2*late {
				t.Errorf("the run ended %v after the signal; timers were %v late at most", took, late)
			} else {
				t.Logf("the run ended %v after the signal", took.Round(time.Millisecond))
			}
		})
	}
}

// sourceOf returns files of which texts has the names and texts, alternately.
func sourceOf(texts ...string) fstest.MapFS {
	source := fstest.MapFS{}
	for i := 0; i < len(texts); i += 2 {
		source[texts[i]] = &fstest.MapFile{Data: []byte(texts[i+1])}
	}
	return source
}

// With an *sql.DB for MySQL that takes one statement at a time, Run refuses a file of several
// statements before it changes anything. It refuses no other file: the server decides what is one
// statement.
func TestMigrateRunOneStatementAtATime(t *testing.T) {
	t.Parallel()
	eachMigrated(t, mysqlServers, func(b *migrateBench, _ string) {
		first := sourceOf(
			"1_table.up.sql", "CREATE TABLE a (n INTEGER, s VARCHAR(20) DEFAULT 'x;y');;\n-- the end;\n",
			"2_trigger.up.sql",
			"CREATE TRIGGER a_n BEFORE INSERT ON a FOR EACH ROW\nBEGIN\n  SET NEW.n = 1;\n  SET NEW.s = 'a;b';\nEND;",
			"3_procedure.up.sql", "CREATE PROCEDURE p() BEGIN IF TRUE THEN DO 1; ELSE DO 2; END IF; END",
			"4_insert.up.sql", "/* ; */ INSERT INTO a (n) VALUES (7); # ;",
			"5_event.up.sql", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DO 1; DO 2; END",
		)
		_, err := migrations.Run(b.Context(), b.DB, b.Migrations, first, nil)
		b.must(err)
		if got := scan[string](b, b.Database, "SELECT CONCAT(n, s) FROM a"); got != "1a;b" {
			b.Errorf("the row is %q after the trigger, want %q", got, "1a;b")
		}
		several := sourceOf("6_next.up.sql", "CREATE TABLE next (n INTEGER)",
			"7_two.up.sql", "CREATE TABLE c (n INTEGER);\nCREATE TABLE d (n INTEGER);")
		maps.Copy(several, first)
		_, err = migrations.Run(b.Context(), b.DB, b.Migrations, several, nil)
		if !errors.Is(err, dialect.ErrInvalid) || !strings.Contains(err.Error(), "7_two.up.sql") ||
			!strings.Contains(err.Error(), "multiStatements=true") {
			b.Errorf("a file of two statements: %v; want ErrInvalid, the file's name and multiStatements=true", err)
		}
		b.wantApplied(5, false)
		capable := newMigrateBench(b.T, withParameter(b.url, "multiStatements=true"))
		_, err = migrations.Run(b.Context(), capable.DB, capable.Migrations, several, nil)
		b.must(err)
		b.wantApplied(7, false)
	})
}

// A file without a statement is a step that changes only the version, both up and down, in the
// package and in the command.
func TestMigrateNoStatement(t *testing.T) {
	c := buildMigrate(t)
	eachToMigrate(t, func(b *migrateBench) {
		texts := []string{
			"", " \t\n", ";", ";;\r\n;", "\r\n\r\n", "-- nothing; at all\n", "/* nothing; */",
			"/* a */;\n-- b\n;", "\ufeff",
		}
		if b.Dialect.Name() == "mysql" {
			texts = append(texts, "# nothing\n")
		}
		files, source := map[string]string{}, fstest.MapFS{}
		for i, text := range texts {
			for _, way := range []string{"up", "down"} {
				name := fmt.Sprintf("%d_nothing.%s.sql", i+1, way)
				files[name], source[name] = text, &fstest.MapFile{Data: []byte(text)}
			}
		}
		m, err := migrations.NewApplication(b.DB, b.Migrations, source, &migrations.Options{Dialect: b.Dialect})
		b.must(err)
		for range 2 {
			done, err := m.Up(b.Context(), migrations.All)
			if err != nil || len(done) != len(texts) {
				b.Fatalf("applied %v, %v", done, err)
			}
			done, err = m.Down(b.Context(), migrations.All)
			if err != nil || len(done) != len(texts) {
				b.Fatalf("reverted %v, %v", done, err)
			}
		}
		path := "-path " + folder(b.T, files) + " "
		c.want(b.T, b.url, 0, fmt.Sprintf("%d/u nothing", len(texts)), path+"up")
		c.want(b.T, b.url, 0, "1/d nothing", path+"down -all")
	})
}

// While a migration runs, Options.Running is called with how long it has run and what it waits for.
func TestMigrateReportsWhatItWaitsFor(t *testing.T) {
	for _, engine := range servers.OneOfEachKind(t, serverEngines...) {
		for name, text := range map[string]string{"table": "", "row": "UPDATE rowed SET n = 2"} {
			t.Run(engine+"/"+name, func(t *testing.T) {
				t.Parallel()
				b := newMigrateBench(t, servers.Start(t, engine).Database(t))
				execute(t, b.Database, "CREATE TABLE rowed (n INTEGER)", "INSERT INTO rowed (n) VALUES (1)")
				want := "of session "
				var goOn func()
				if !strings.HasPrefix(engine, "postgres") {
					want = "of connection "
				}
				if name == "table" {
					text, goOn = blocking(b)
					if engine == "mariadb" {
						want = "a lock of another session" // MariaDB doesn't show which session holds a table lock
					}
				} else {
					tx, err := b.DB.BeginTx(t.Context(), nil)
					b.must(err)
					_, err = tx.ExecContext(t.Context(), "UPDATE rowed SET n = 3")
					b.must(err)
					goOn = func() { _ = tx.Rollback() }
				}
				defer goOn()
				reports := make(chan string, 1000)
				running := func(_ migrations.Step, since time.Duration, waitsFor string) {
					if since > 0 && waitsFor != "" {
						select {
						case reports <- waitsFor:
						default:
						}
					}
				}
				done := make(chan error, 1)
				go func() {
					options := &migrations.Options{Every: 50 * time.Millisecond, Running: running}
					_, err := b.apply(options, "1_slow.up.sql", text)
					done <- err
				}()
				// The first reports, of a statement that is only beginning to wait, may say less.
				for last, limit := "nothing", time.After(stepTimeout); !strings.Contains(last, want); {
					select {
					case last = <-reports:
						t.Log(last)
					case err := <-done:
						t.Fatalf("the migration ended, reported as waiting for %s; want %q: %v", last, want, err)
					case <-limit:
						t.Errorf("the migration is reported as waiting for %s; want %q", last, want)
						last = want
					}
				}
				goOn()
				b.must(<-done)
			})
		}
	}
}

// If one table cannot be dropped, drop keeps all tables.
func TestMigrateDropAllOrNothing(t *testing.T) {
	c := buildMigrate(t)
	eachMigrated(t, postgresServers, func(b *migrateBench, _ string) {
		path := "-path " + folder(b.T, map[string]string{
			"1_a.up.sql": "CREATE TABLE a (n int); CREATE TABLE z (n int);",
		}) + " "
		c.want(b.T, b.url, 0, "1/u a", path+"up")
		execute(b.T, b.Database, "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS "+
			"$$ BEGIN IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_name = 'z') "+
			"THEN RAISE 'not z'; END IF; END $$",
			"CREATE EVENT TRIGGER refuse ON sql_drop EXECUTE FUNCTION refuse()")
		c.want(b.T, b.url, 1, "not z", path+"drop -f")
		b.wantApplied(1, false)
		execute(b.T, b.Database, "SELECT 1 FROM a, z", "DROP EVENT TRIGGER refuse")
		c.want(b.T, b.url, 0, "", path+"drop -f")
	})
}
