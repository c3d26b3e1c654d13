package integration

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// serverEngines lists the engines of which a test can have a private server. SQLite runs inside the
// test's own processes, and SQL Server isn't run from binaries.
var serverEngines = []string{"postgres15", "postgres18", "mysql", "mariadb"}

// allServers lists the engines that have a server at all.
var allServers = append(slices.Clone(serverEngines), "sqlserver")

// eachPrivate runs f as a parallel subtest for engines of serverEngines, and the test itself in
// parallel with others.
func eachPrivate(t *testing.T, f func(t *testing.T, engine string)) {
	t.Helper()
	private(t, serverEngines, f)
}

// private runs f as a parallel subtest for those of the engines that [servers.OneOfEachKind]
// chooses, and the test itself in parallel with others.
func private(t *testing.T, engines []string, f func(t *testing.T, engine string)) {
	t.Helper()
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, engines...) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f(t, engine)
		})
	}
}

// eachServer is eachPrivate with the servers that all tests share, and also for SQL Server.
func eachServer(t *testing.T, f func(t *testing.T, s *servers.Server)) {
	t.Helper()
	private(t, allServers, func(t *testing.T, engine string) {
		f(t, servers.Start(t, engine))
	})
}

// eachEndingSilence runs f for the engines whose server can end a session that has been idle for
// too long. SQL Server has no setting for that.
func eachEndingSilence(t *testing.T, f func(t *testing.T, s *servers.Server)) {
	t.Helper()
	eachPrivate(t, func(t *testing.T, engine string) { f(t, servers.Start(t, engine)) })
}

// ttlFor returns ttl, or a longer TTL where Babelfish stands in for SQL Server: Babelfish takes a
// second for each new connection.
func ttlFor(t testing.TB, s *servers.Server, ttl time.Duration) time.Duration {
	t.Helper()
	if s.Substitute(t) != "" {
		return 15 * time.Second
	}
	return ttl
}

// database returns the URL of a new database on s with sqllock's tables and an empty ledger. With
// SQLite the tests' own transactions wait for each other for up to a minute: on a slow disk the
// five seconds that are the default aren't enough for eight of them.
func database(t testing.TB, s *servers.Server) string {
	t.Helper()
	url := s.Database(t)
	if s.Provider == "embedded" {
		url += "?_busy_timeout=60000"
	}
	prepare(t, url)
	return url
}

// prepare creates sqllock's tables and an empty ledger.
func prepare(t testing.TB, url string) {
	t.Helper()
	target := connect(t, url)
	if err := migrations.Up(t.Context(), target.DB, target.Migrations); err != nil {
		t.Fatal(err)
	}
	execute(t, target, ledgerTable...)
}

// connect opens the database for as long as the test lasts.
func connect(t testing.TB, url string) *open.Database {
	t.Helper()
	target, err := open.URL(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if closer, ok := target.Dialect.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		}
		_ = target.DB.Close() // fails if the server was killed
	})
	return target
}

func execute(t testing.TB, target *open.Database, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := target.DB.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// scan returns the only value that the query selects.
func scan[T any](t testing.TB, target *open.Database, query string) (value T) {
	t.Helper()
	err := target.DB.QueryRowContext(t.Context(), query).Scan(&value)
	for unreadable(err) {
		err = target.DB.QueryRowContext(t.Context(), query).Scan(&value)
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// unreadable reports whether err means that MySQL could not list its processes: the list is in
// utf8mb3, and the statement of another test has a character outside of that.
func unreadable(err error) bool { return number(err) == 3854 }

// client returns a Client in the test's own process, which is closed with the test. Unless opts say
// otherwise, it reaps only when Reap is called, and logs nothing.
func client(t testing.TB, target *open.Database, opts sqllock.Options) *sqllock.Client {
	t.Helper()
	if opts.ReapEvery == 0 {
		opts.ReapEvery = -1
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := sqllock.New(t.Context(), target.Dialect, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error("Close:", err)
		}
	})
	return c
}

// await polls ok until it returns true, for changes that cause no event. It returns how long that
// took. After within it fails the test.
func await(t testing.TB, what string, within time.Duration, ok func() bool) time.Duration {
	t.Helper()
	started := time.Now()
	for !ok() {
		if time.Since(started) > within {
			t.Fatalf("waited %s in vain for %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(started)
}

// heldLocks returns the names of the locks that are held, or left by a dead holder.
func heldLocks(ctx context.Context, c *sqllock.Client) (names []string, err error) {
	for info, err := range c.Locks(ctx) {
		if err != nil {
			return nil, err
		}
		names = append(names, info.Name)
	}
	return names, nil
}

func mustTry(t testing.TB, c *sqllock.Client, name string, opts ...any) *sqllock.Lock {
	t.Helper()
	lock, err := locktest.TryAcquire(t.Context(), c, name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func mustBeHeld(t testing.TB, c *sqllock.Client, name string) {
	t.Helper()
	if _, err := c.TryAcquire(t.Context(), name); !errors.Is(err, sqllock.ErrNotAcquired) {
		t.Errorf("TryAcquire of a lock that another holds: %v; want ErrNotAcquired", err)
	}
}

// mustGuard commits a transaction that contains only a guard.
func mustGuard(t testing.TB, target *open.Database, lock *sqllock.Lock) {
	t.Helper()
	tx, err := target.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if err := lock.Guard(t.Context(), tx); err != nil {
		t.Error(err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
}

func mustRelease(t testing.TB, lock locktest.Held) {
	t.Helper()
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func acquireAndRelease(t testing.TB, c *sqllock.Client, name string) (fence int64) {
	t.Helper()
	lock := mustTry(t, c, name)
	mustRelease(t, lock)
	return lock.Fence()
}
