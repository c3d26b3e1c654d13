package integration

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
)

func (my *myBench) session(d *mysql.Dialect, options dialect.SessionOptions) dialect.Session {
	my.Helper()
	s, err := d.OpenSession(my.Context(), options)
	my.must(err)
	my.Cleanup(func() { s.Close() })
	return s
}

func (my *myBench) try(s dialect.Session, locks ...dialect.ServerLock) []bool {
	my.Helper()
	got, err := s.TryLock(my.Context(), locks)
	my.must(err)
	return got
}

// A thousand locks of one connection, which are free at once when it ends.
func TestMySQLSessionThousand(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		a, b := my.session(my.d, dialect.SessionOptions{}), my.session(my.d, dialect.SessionOptions{})
		locks := sessionLocks("lock/", 1000)
		started := time.Now()
		for i, got := range my.try(a, locks...) {
			if !got {
				t.Fatalf("%s was refused", locks[i].Name)
			}
		}
		took := time.Since(started)
		started = time.Now()
		ours, err := a.Unlock(t.Context(), locks[:500])
		my.must(err)
		t.Logf("1000 session locks of one connection: %s to take; 500: %s to let go", took, time.Since(started))
		for i, is := range ours {
			if !is {
				t.Fatalf("%s wasn't held", locks[i].Name)
			}
		}
		for i, got := range my.try(b, locks...) {
			if got != (i < 500) {
				t.Fatalf("%s given to another: %t", locks[i].Name, got)
			}
		}
		my.must(a.Close())
		closed := time.Now()
		for _, lock := range locks[500:] {
			await(t, "the lock is free", patience, func() bool { return my.try(b, lock)[0] })
		}
		t.Logf("500 locks of a connection that has ended: another's after %s", time.Since(closed))
	})
}

// GET_LOCK's names are the whole server's, ours are a database's.
func TestMySQLSessionIsOfItsDatabase(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		other := newMyBench(t, my.engine, database(t, servers.Start(t, my.engine)))
		lock := dialect.ServerLock{Name: "the same"}
		a, b := my.session(my.d, dialect.SessionOptions{}), other.session(other.d, dialect.SessionOptions{})
		if !my.try(a, lock)[0] || !my.try(b, lock)[0] {
			t.Error("two databases share a lock")
		}
		if c := my.session(my.d, dialect.SessionOptions{}); my.try(c, lock)[0] {
			t.Error("two sessions of a database don't")
		}
	})
}

// People are told who it is: MySQL tells the name that the session has given itself, MariaDB where it comes from.
func TestMySQLSessionHolder(t *testing.T) {
	want := map[string]string{
		"mysql":   `^app-1 “x” \(root@127\.0\.0\.1:\d+, connection \d+\)$`,
		"mariadb": `^root@127\.0\.0\.1:\d+, connection \d+$`,
	}
	eachMySQL(t, func(t *testing.T, my *myBench) {
		started := time.Now()
		a, b := my.session(my.d, dialect.SessionOptions{Holder: "app-1 “x”"}), my.session(my.d, dialect.SessionOptions{})
		lock := dialect.ServerLock{Name: "n"}
		my.try(a, lock)
		held, err := b.HeldBy(t.Context(), []dialect.ServerLock{lock})
		my.must(err)
		if !regexp.MustCompile(want[my.engine]).MatchString(held[0].Holder) {
			t.Errorf("held by %q", held[0].Holder)
		}
		if since := held[0].Since; my.engine == "mysql" && (since.Before(started.Add(-time.Second)) || since.After(time.Now().Add(time.Second))) {
			t.Errorf("since %s, it was made after %s", since, started)
		}
		my.exec(my.db, "CREATE USER IF NOT EXISTS nobody_much IDENTIFIED BY 'sqllock'")
		schema := my.url[strings.LastIndexByte(my.url, '/')+1:]
		my.exec(my.db, "GRANT SELECT, INSERT, UPDATE, DELETE ON `"+schema+"`.* TO nobody_much")
		less := newMyBench(t, my.engine, strings.Replace(my.url, "root:", "nobody_much:", 1))
		held, err = less.session(less.d, dialect.SessionOptions{}).HeldBy(t.Context(), []dialect.ServerLock{lock})
		my.must(err)
		if !regexp.MustCompile(`^connection \d+$`).MatchString(held[0].Holder) {
			t.Errorf("a user without rights sees %q", held[0].Holder)
		}
	})
}

// A holder that is frozen or cut off says nothing: the server ends its session by itself.
func TestMySQLSessionIdle(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		silent := my.session(my.d, dialect.SessionOptions{Idle: 500 * time.Millisecond})
		heir, lock := my.session(my.d, dialect.SessionOptions{Idle: time.Minute}), dialect.ServerLock{Name: "n"}
		my.try(silent, lock)
		if my.try(heir, lock)[0] {
			t.Fatal("given twice")
		}
		took := await(t, "the server ends the session", patience, func() bool { return my.try(heir, lock)[0] })
		if took < 500*time.Millisecond {
			t.Errorf("ended after %s, and Idle was 500ms", took)
		}
		if silent.Ping(t.Context()) == nil {
			t.Error("Ping works in a session that was ended")
		}
	})
}

// fickle connects somewhere else from one time to the next, as a proxy may.
type fickle struct {
	driver.Connector
	mu   sync.Mutex
	next func(n int) (driver.Conn, error)
	n    int
}

func (f *fickle) Connect(context.Context) (driver.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	return f.next(f.n)
}

// What can't be trusted is refused, with what to do.
func TestMySQLSessionRefuses(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		another := map[string]string{"mysql": "mariadb", "mariadb": "mysql"}[my.engine]
		here, err := mysql.Connector(my.url)
		my.must(err)
		there, err := mysql.Connector(database(t, servers.Start(t, another)))
		my.must(err)
		var shared driver.Conn
		for what, c := range map[string]struct {
			options []mysql.Option
			says    string
		}{
			"no connector": {nil, "mysql.WithConnector(connector)"},
			"two connections share a session": {[]mysql.Option{mysql.WithConnector(&fickle{Connector: here, next: func(int) (_ driver.Conn, err error) {
				if shared == nil {
					shared, err = here.Connect(t.Context())
				}
				return shared, err
			}})}, "one session of the server's"},
			"two servers": {[]mysql.Option{mysql.WithConnector(&fickle{Connector: here, next: func(n int) (driver.Conn, error) {
				if n%2 == 0 {
					return there.Connect(t.Context())
				}
				return here.Connect(t.Context())
			}})}, "different servers"},
		} {
			d := mysql.New(my.db, c.options...)
			_, err := d.OpenSession(t.Context(), dialect.SessionOptions{})
			mustBeRefused(t, d, err, c.says)
			if what != "no connector" && !strings.Contains(fmt.Sprint(err), "lease lock") {
				t.Errorf("%s: %v: doesn't say what to use", what, err)
			}
		}
	})
}

// A server that has become read-only doesn't decide any more: it gives no sessions, and those that it has say so.
func TestMySQLSessionReadOnly(t *testing.T) {
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			my := newMyBench(t, engine, servers.Private(t, engine).URL)
			s := my.session(my.d, dialect.SessionOptions{})
			my.must(s.Ping(t.Context()))
			my.exec(my.db, "SET GLOBAL read_only = 1")
			if err := s.Ping(t.Context()); my.d.Classify(err) != dialect.ReadOnly {
				t.Errorf("Ping: %v (class %s)", err, my.d.Classify(err))
			}
			_, err := my.d.OpenSession(t.Context(), dialect.SessionOptions{})
			if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), "primary") {
				t.Errorf("OpenSession: %v", err)
			}
		})
	}
}

// A silent server: a call ends with its ctx, and Close doesn't wait.
func TestMySQLSessionSilentServer(t *testing.T) {
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			my := newMyBench(t, engine, server.URL)
			a, b := my.session(my.d, dialect.SessionOptions{}), my.session(my.d, dialect.SessionOptions{})
			server.Stop()
			defer server.Cont()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			started := time.Now()
			if err := a.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Ping: %v", err)
			}
			for _, s := range []dialect.Session{a, b} {
				s.Close()
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("Ping and two Closes took %s", took)
			}
		})
	}
}
