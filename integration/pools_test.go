package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// throughPGXPool returns an *sql.DB on a pgxpool with that many connections.
func throughPGXPool(t *testing.T, url string, connections int32) *sql.DB {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	db := stdlib.OpenDBFromPool(pool)
	t.Cleanup(func() { db.Close() })
	return db
}

// TestPoolOfOne checks that a pool with one connection is refused, whether that limit comes from
// the *sql.DB or from the driver's pool below it.
func TestPoolOfOne(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		target.DB.SetMaxOpenConns(1)
		_, err := sqllock.New(t.Context(), target.Dialect, nil)
		if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "at least 2") {
			t.Errorf("MaxOpenConns 1: %v", err)
		}
		if !strings.HasPrefix(s.Engine, "postgres") {
			return
		}
		_, err = sqllock.New(t.Context(), postgres.New(throughPGXPool(t, url, 1)), nil)
		if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "pool_max_conns") {
			t.Errorf("pgxpool with one connection: %v", err)
		}
		one := openPgx(t, url, func(config *pgxpool.Config) { config.MaxConns = 1 })
		_, err = sqllock.New(t.Context(), postgres.NewPool(one), nil)
		if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "pool_max_conns") {
			t.Errorf("a pgxpool.Pool with one connection: %v", err)
		}
		c, err := sqllock.New(t.Context(), postgres.New(throughPGXPool(t, url, 2)), nil)
		if err != nil {
			t.Fatal(err)
		}
		mustRelease(t, mustTry(t, c, "lock"))
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestPoolExhausted checks that if the application uses all connections, every error, every log
// line and the cause of a lock's loss say so.
func TestPoolExhausted(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		target.DB.SetMaxOpenConns(2)
		exhausted(t, inSQL(target.DB), target.Dialect, "all 2 of the *sql.DB are in use")
		if strings.HasPrefix(s.Engine, "postgres") {
			db := throughPGXPool(t, url, 2)
			exhausted(t, inSQL(db), postgres.New(db), "pgxpool")
			pool := openPgx(t, url, func(config *pgxpool.Config) { config.MaxConns = 2 })
			exhausted(t, inPgx(pool), postgres.NewPool(pool), "all 2 of the *pgxpool.Pool are in use")
		}
	})
}

// inSQL and inPgx return functions that begin a transaction, which stays open until the test ends.
func inSQL(db *sql.DB) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
	}
}

func inPgx(pool *pgxpool.Pool) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	}
}

func exhausted(t *testing.T, begin func(t *testing.T), d dialect.Dialect, why string) {
	t.Helper()
	var log lines
	c, err := sqllock.New(t.Context(), d, &sqllock.Options{
		TTL: 3 * time.Second, ReapEvery: -1, PollOnly: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	lock := mustTry(t, c, rand.Text())
	for range 2 {
		begin(t)
	}
	before := len(log.String()) // a busy machine may have other reasons for log lines before
	_, err = c.TryAcquire(context.Background(), "another")
	if err == nil || !strings.Contains(err.Error(), "no free connection") || !strings.Contains(err.Error(), why) {
		t.Errorf("TryAcquire: %v", err)
	}
	<-lock.Context().Done()
	if err := context.Cause(lock.Context()); !errors.Is(err, sqllock.ErrLost) || !strings.Contains(err.Error(), why) {
		t.Errorf("the lock's end: %v", err)
	}
	text := log.String()[before:]
	if !strings.Contains(text, "heartbeat failed") || !strings.Contains(text, "locks lost") {
		t.Errorf("the log:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if !strings.Contains(line, why) {
			t.Errorf("a log line doesn't have the reason %q: %s", why, line)
		}
	}
	_ = c.Close(t.Context()) // it can't reach the database
}

// lines is a log that several goroutines write to.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestCheckChurn checks that Check reports a pool that opens and closes connections again and
// again, but not an *sql.DB that leaves that to pgxpool.
func TestCheckChurn(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		churns(t, target.DB, target.Dialect, sqllock.VerdictNotice)
		target = connect(t, url)
		target.DB.SetMaxIdleConns(12)
		churns(t, target.DB, target.Dialect, sqllock.VerdictGood)
		if strings.HasPrefix(s.Engine, "postgres") {
			db := throughPGXPool(t, url, 12)
			churns(t, db, postgres.New(db), sqllock.VerdictGood)
		}
	})
}

func churns(t *testing.T, db *sql.DB, d dialect.Dialect, want sqllock.Verdict) {
	t.Helper()
	for range 10 {
		var all []*sql.Conn
		for range 10 {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, conn)
		}
		for _, conn := range all {
			_ = conn.Close()
		}
	}
	findings, err := d.(dialect.Checker).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, findings, "pool"); f.Verdict != want {
		t.Errorf("want %s: %+v", want, f)
	}
}
