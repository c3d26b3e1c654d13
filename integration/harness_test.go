package integration

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/sqllock"
)

// long tells whether the tests that run for a time should run for as long as is promised of them.
var long = os.Getenv("SQLLOCK_TEST_LONG") != ""

// lasting is how long a test that runs for a time runs.
func lasting(short, full time.Duration) time.Duration {
	if long {
		return full
	}
	return short
}

// serverEngines are the engines that have a server which a test can have for itself: SQLite runs in the processes
// themselves, and SQL Server isn't run from binaries.
var serverEngines = []string{"postgres15", "postgres18", "mysql", "mariadb"}

// eachPrivate runs f as a parallel subtest for every engine that has a server.
func eachPrivate(t *testing.T, f func(t *testing.T, engine string)) {
	t.Helper()
	private(t, serverEngines, f)
}

func private(t *testing.T, engines []string, f func(t *testing.T, engine string)) {
	t.Helper()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f(t, engine)
		})
	}
}

// eachServer runs f as a parallel subtest for every engine that has a server.
func eachServer(t *testing.T, f func(t *testing.T, s *servers.Server)) {
	t.Helper()
	private(t, append(slices.Clone(serverEngines), "sqlserver"), func(t *testing.T, engine string) {
		f(t, servers.Start(t, engine))
	})
}

// eachEndingSilence runs f for the engines whose server ends a session that it hears nothing of for too long. SQL Server
// has no setting for that.
func eachEndingSilence(t *testing.T, f func(t *testing.T, s *servers.Server)) {
	t.Helper()
	eachPrivate(t, func(t *testing.T, engine string) { f(t, servers.Start(t, engine)) })
}

// ttlFor is that TTL, or a longer one where Babelfish stands in: it has a second's work with each new connection.
func ttlFor(t testing.TB, s *servers.Server, ttl time.Duration) time.Duration {
	t.Helper()
	if s.StandIn(t) != "" {
		return 15 * time.Second
	}
	return ttl
}

// database is the URL of a database on s with sqllock's tables and an empty ledger.
func database(t testing.TB, s *servers.Server) string {
	t.Helper()
	url := s.Database(t)
	prepare(t, url)
	return url
}

// prepare makes sqllock's tables and an empty ledger.
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
		_ = target.DB.Close() // fails where the server was killed
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

// scan reads one value.
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

// unreadable tells whether that is why MySQL's process list wasn't read: it is in utf8mb3, and another test's statement isn't.
func unreadable(err error) bool { return number(err) == 3854 }

// client is a Client in the test's own process, closed with the test. It reaps when it is told to.
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

// await asks until ok, for what nobody tells of by itself.
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

// heldLocks are the names of the locks that somebody holds, or a dead one has left.
func heldLocks(ctx context.Context, c *sqllock.Client) (names []string, err error) {
	for info, err := range c.Locks(ctx) {
		if err != nil {
			return nil, err
		}
		names = append(names, info.Name)
	}
	return names, nil
}

func mustTry(t testing.TB, c *sqllock.Client, name string, opts ...sqllock.Option) *sqllock.Lock {
	t.Helper()
	lock, err := c.TryAcquire(t.Context(), name, opts...)
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

// mustGuard does a guarded transaction with nothing else in it.
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

func mustRelease(t testing.TB, lock *sqllock.Lock) {
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
