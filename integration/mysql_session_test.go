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

// One connection holds a thousand locks. They are free at once when it ends.
func TestMySQLSessionThousand(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		a, b := my.session(my.d, dialect.SessionOptions{}), my.session(my.d, dialect.SessionOptions{})
		locks := sessionLocks("lock/", 1000)
		started := time.Now()
		for i, got := range my.try(a, locks...) {
			if !got {
				t.Fatalf("%s was not granted", locks[i].Name)
			}
		}
		took := time.Since(started)
		started = time.Now()
		ours, err := a.Unlock(t.Context(), locks[:500])
		my.must(err)
		t.Logf("1000 session locks of one connection: %s to take; 500: %s to release", took, time.Since(started))
		for i, is := range ours {
			if !is {
				t.Fatalf("%s wasn't held", locks[i].Name)
			}
		}
		for i, got := range my.try(b, locks...) {
			if got != (i < 500) {
				t.Fatalf("%s granted to another session: %t, want %t", locks[i].Name, got, i < 500)
			}
		}
		my.must(a.Close())
		closed := time.Now()
		for _, lock := range locks[500:] {
			await(t, "the lock to be free", stepTimeout, func() bool { return my.try(b, lock)[0] })
		}
		t.Logf("another session had the 500 locks of a closed one after %s", time.Since(closed))
	})
}

// Session locks of one name in two databases are independent, although GET_LOCK's names belong to
// the whole server.
func TestMySQLSessionIsOfItsDatabase(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		other := newMyBench(t, my.engine, database(t, servers.Start(t, my.engine)))
		lock := dialect.ServerLock{Name: "the same"}
		a, b := my.session(my.d, dialect.SessionOptions{}), other.session(other.d, dialect.SessionOptions{})
		if !my.try(a, lock)[0] || !my.try(b, lock)[0] {
			t.Error("two databases share a lock")
		}
		if c := my.session(my.d, dialect.SessionOptions{}); my.try(c, lock)[0] {
			t.Error("two sessions of one database got the same lock")
		}
	})
}

// HeldBy names the holder of a lock. MySQL shows the name that the session has given itself,
// MariaDB only the user and address. A user without rights sees the connection's number.
func TestMySQLSessionHolder(t *testing.T) {
	want := map[string]string{
		"mysql":   `^app-1 “x” \(root@127\.0\.0\.1:\d+, connection \d+\)$`,
		"mariadb": `^root@127\.0\.0\.1:\d+, connection \d+$`,
	}
	eachMySQL(t, func(t *testing.T, my *myBench) {
		started := time.Now()
		a := my.session(my.d, dialect.SessionOptions{Holder: "app-1 “x”"})
		b := my.session(my.d, dialect.SessionOptions{})
		lock := dialect.ServerLock{Name: "n"}
		my.try(a, lock)
		held, err := b.HeldBy(t.Context(), []dialect.ServerLock{lock})
		my.must(err)
		if !regexp.MustCompile(want[my.engine]).MatchString(held[0].Holder) {
			t.Errorf("held by %q", held[0].Holder)
		}
		since, soonest, latest := held[0].Since, started.Add(-time.Second), time.Now().Add(time.Second)
		if my.engine == "mysql" && (since.Before(soonest) || since.After(latest)) {
			t.Errorf("held since %s; want between %s and %s", since, soonest, latest)
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

// The server ends the session of a holder that is frozen or cut off, after the session was idle for
// SessionOptions.Idle.
func TestMySQLSessionIdle(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		silent := my.session(my.d, dialect.SessionOptions{Idle: 500 * time.Millisecond})
		nextHolder, lock := my.session(my.d, dialect.SessionOptions{Idle: time.Minute}), dialect.ServerLock{Name: "n"}
		my.try(silent, lock)
		if my.try(nextHolder, lock)[0] {
			t.Fatal("two sessions got the same lock")
		}
		took := await(t, "the end of the session", stepTimeout, func() bool { return my.try(nextHolder, lock)[0] })
		if took < 500*time.Millisecond {
			t.Errorf("the session ended after %s, but Idle was 500ms", took)
		}
		if silent.Ping(t.Context()) == nil {
			t.Error("Ping succeeded in a session that the server has ended")
		}
	})
}

// fickle connects to another server or session from one call to the next, as a proxy may.
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

// OpenSession refuses connections on which session locks would not be safe, and says what to use
// instead.
func TestMySQLSessionRefuses(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		another := map[string]string{"mysql": "mariadb", "mariadb": "mysql"}[my.engine]
		here, err := mysql.Connector(my.url)
		my.must(err)
		there, err := mysql.Connector(database(t, servers.Start(t, another)))
		my.must(err)
		var shared driver.Conn
		oneSession := func(int) (_ driver.Conn, err error) {
			if shared == nil {
				shared, err = here.Connect(t.Context())
			}
			return shared, err
		}
		twoServers := func(n int) (driver.Conn, error) {
			if n%2 == 0 {
				return there.Connect(t.Context())
			}
			return here.Connect(t.Context())
		}
		with := func(next func(int) (driver.Conn, error)) []mysql.Option {
			return []mysql.Option{mysql.WithConnector(&fickle{Connector: here, next: next})}
		}
		for what, c := range map[string]struct {
			options []mysql.Option
			says    string
		}{
			"no connector":                    {nil, "mysql.WithConnector(connector)"},
			"two connections share a session": {with(oneSession), "one session of the server's"},
			"two servers":                     {with(twoServers), "different servers"},
		} {
			d := mysql.New(my.db, c.options...)
			_, err := d.OpenSession(t.Context(), dialect.SessionOptions{})
			mustBeRefused(t, d, err, c.says)
			if what != "no connector" && !strings.Contains(fmt.Sprint(err), "lease lock") {
				t.Errorf("%s: the error %q does not suggest a lease lock", what, err)
			}
		}
	})
}

// After a server has become read-only, it must not decide about locks: OpenSession and Ping fail.
func TestMySQLSessionReadOnly(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "mysql", "mariadb") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			my := newMyBench(t, engine, servers.Private(t, engine).URL)
			s := my.session(my.d, dialect.SessionOptions{})
			my.must(s.Ping(t.Context()))
			my.exec(my.db, "SET GLOBAL read_only = 1")
			if err := s.Ping(t.Context()); my.d.Classify(err) != dialect.ClassReadOnly {
				t.Errorf("Ping: %v (class %s), want class ReadOnly", err, my.d.Classify(err))
			}
			_, err := my.d.OpenSession(t.Context(), dialect.SessionOptions{})
			if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), "primary") {
				t.Errorf("OpenSession: %v; want ErrUnsupported, and the advice to use the primary", err)
			}
		})
	}
}

// If the server stops responding, a call ends with its ctx, and Close doesn't wait.
func TestMySQLSessionSilentServer(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "mysql", "mariadb") {
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
				t.Errorf("Ping: %v; want DeadlineExceeded", err)
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
