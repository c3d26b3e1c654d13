// Package clock_test moves the clocks of real servers by an hour and a day, forward and back, while
// there are locks in each state.
package clock_test

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// sqliteOffset is how far SQLite's clock is ahead of the process's.
var sqliteOffset atomic.Int64

func TestMain(m *testing.M) {
	now := func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		return float64(time.Now().UnixMilli())/1000 + time.Duration(sqliteOffset.Load()).Seconds(), nil
	}
	sqlite.MustRegisterScalarFunction("unixepoch", 1, now)
	servers.Main(m)
}

const (
	ttl   = 4 * time.Second
	bar   = 4 * time.Second
	delay = time.Second
	slow  = 20 * time.Second // what a busy machine may add to these; far less than any step
)

// clocks are queries for a server's clock in seconds since 1970.
var clocks = map[string]string{
	"postgres": "SELECT extract(epoch FROM clock_timestamp())::bigint",
	"mysql":    "SELECT TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP())",
	"sqlite":   "SELECT CAST(unixepoch('subsec') AS INTEGER)",
}

func TestClockSteps(t *testing.T) {
	for _, engine := range servers.OneOfEachKind(t, "postgres15", "mysql", "mariadb") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			option, clock := servers.MovableClock(t, engine)
			s := servers.Private(t, engine, option)
			stepThrough(t, s.URL, func(by time.Duration) time.Duration {
				clock.Move(by)
				return clock.Offset()
			})
		})
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		stepThrough(t, servers.Start(t, "sqlite").Database(t), func(by time.Duration) time.Duration {
			return time.Duration(sqliteOffset.Add(int64(by)))
		})
	})
}

// bench is a database whose clock can be moved, and the clients of two processes.
type bench struct {
	*testing.T
	target *open.Database
	a, b   *sqllock.Client
	step   time.Duration
}

func stepThrough(t *testing.T, url string, move func(by time.Duration) (offset time.Duration)) {
	t.Helper()
	target, second := prepared(t, url), connect(t, url)
	b := bench{T: t, target: target, a: client(t, target), b: client(t, second)}
	for _, step := range []time.Duration{-time.Hour, 25 * time.Hour, -24 * time.Hour} {
		b.step = step
		b.under(func() {
			offset := move(step)
			for begun, off := time.Now(), int64(1000); off < -30 || off > 30; time.Sleep(10 * time.Millisecond) {
				var got int64
				clock := target.DB.QueryRowContext(t.Context(), clocks[target.Migrations.Name])
				if err := clock.Scan(&got); err != nil {
					t.Fatal(err)
				}
				if off = got - time.Now().Add(offset).Unix(); time.Since(begun) > slow {
					t.Fatalf("moved by %s, the server's clock is %d s off", step, off)
				}
			}
		})
	}
}

// connect opens the database for as long as the test lasts.
func connect(t *testing.T, url string) *open.Database {
	t.Helper()
	target, err := open.URL(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.DB.Close() })
	return target
}

// prepared is connect to a database that gets sqllock's tables.
func prepared(t *testing.T, url string) *open.Database {
	t.Helper()
	target := connect(t, url)
	if err := migrations.Up(t.Context(), target.DB, target.Migrations); err != nil {
		t.Fatal(err)
	}
	return target
}

func client(t *testing.T, target *open.Database) *sqllock.Client {
	t.Helper()
	return clientWith(t, target, sqllock.Options{TTL: ttl})
}

// clientWith returns a Client that is closed with the test and reaps nothing.
func clientWith(t *testing.T, target *open.Database, opts sqllock.Options) *sqllock.Client {
	t.Helper()
	opts.ReapEvery = -1
	c, err := sqllock.New(t.Context(), target.Dialect, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// under moves the clock while locks are free, barred, held by a dead process, and held.
func (b bench) under(move func()) {
	b.Helper()
	name := func(state string) string { return fmt.Sprintf("%s at %s %s", state, b.step, rand.Text()) }
	free, barred, held, dead, delayed := name("free"), name("barred"), name("held"), name("dead"), name("delayed")
	before := b.try(b.a, free, sqllock.LockDelay(time.Hour))
	b.release(before)
	b.release(b.try(b.a, barred, sqllock.HoldAtLeast(bar)))
	b.abandon(map[string]time.Duration{dead: 0, delayed: delay})
	lock := b.try(b.a, held)

	move()
	moved := time.Now()
	again := b.try(b.b, free)
	if again.Fence() <= before.Fence() {
		b.Errorf("%s: fence %d after %d", b.step, again.Fence(), before.Fence())
	}
	b.release(again)
	var group sync.WaitGroup
	for name, most := range map[string]time.Duration{barred: bar, dead: ttl, delayed: ttl + delay} {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(b.Context(), most+slow)
			defer cancel()
			lock, err := b.b.Acquire(ctx, name)
			if err != nil {
				b.Errorf("%s: the lock isn't free after %s: %v", b.step, time.Since(moved), err)
				return
			}
			b.release(lock)
		})
	}
	b.holder(lock, moved)
	group.Wait()
}

// holder checks what becomes of a holder that is alive. It keeps the lock while the clock is set
// back. If the clock is set forward, the lease has expired by the database's clock: the holder's
// context ends, and its guards are refused once another client has the lock.
func (b bench) holder(lock *sqllock.Lock, moved time.Time) {
	b.Helper()
	if b.step > 0 {
		select {
		case <-lock.Context().Done():
		case <-time.After(ttl + slow):
			b.Errorf("%s: the holder's context hasn't ended, though its lease has expired", b.step)
		}
		b.release(b.try(b.b, lock.Name()))
		return
	}
	for time.Since(moved) < ttl+ttl/2 {
		if _, err := b.b.TryAcquire(b.Context(), lock.Name()); !errors.Is(err, sqllock.ErrNotAcquired) {
			b.Fatalf("%s: TryAcquire of a lock whose holder is alive: %v", b.step, err)
		}
		time.Sleep(ttl / 10)
	}
	tx, err := b.target.DB.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Rollback()
	if err := errors.Join(lock.Context().Err(), lock.Guard(b.Context(), tx)); err != nil {
		b.Errorf("%s: the holder has lost its lock: %v", b.step, err)
	}
	if err := tx.Rollback(); err != nil {
		b.Error(err)
	}
	b.release(lock)
}

// abandon acquires locks under the lease of a process that then dies.
func (b bench) abandon(delays map[string]time.Duration) {
	b.Helper()
	d := b.target.Dialect
	lease := dialect.Lease{ID: rand.Text(), Holder: "dead", TTL: ttl}
	if err := d.CreateLease(b.Context(), lease); err != nil {
		b.Fatal(err)
	}
	for name, delay := range delays {
		grants, err := d.Acquire(b.Context(), []dialect.Request{{
			Key: dialect.Key{Name: name}, LeaseID: lease.ID, Owner: rand.Text(), LockDelay: delay,
		}})
		if err != nil || !grants[0].Granted {
			b.Fatal(grants, err)
		}
	}
}

// try acquires a lock that is free. If the clock was set forward, the caller's own lease may have
// expired too; then try waits for a new one.
func (b bench) try(c *sqllock.Client, name string, opts ...sqllock.Option) *sqllock.Lock {
	b.Helper()
	take := c.TryAcquire
	if b.step > 0 {
		take = c.Acquire
	}
	ctx, cancel := context.WithTimeout(b.Context(), ttl+slow)
	defer cancel()
	lock, err := take(ctx, name, opts...)
	if err != nil {
		b.Fatalf("%s: %v", b.step, err)
	}
	return lock
}

func (b bench) release(lock *sqllock.Lock) {
	b.Helper()
	if err := lock.Release(b.Context()); err != nil && b.step <= 0 {
		b.Errorf("%s: releasing %q: %v", b.step, lock.Name(), err)
	}
}

// TestReleasedLockBarsNobody lets many clients try to acquire one lock. An error names the holder.
// It never reports that nobody holds the lock and that it still can't be acquired. MySQL's clock of
// a statement stands still while the statement waits for the lock's row.
func TestReleasedLockBarsNobody(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		target := prepared(t, s.Database(t))
		var group sync.WaitGroup
		for range 4 {
			c := client(t, target)
			for range 2 {
				group.Go(func() {
					for range 150 {
						lock, err := c.TryAcquire(t.Context(), "busy")
						switch {
						case err == nil:
							err = lock.Release(t.Context())
						case errors.Is(err, sqllock.ErrNotAcquired) &&
							!strings.Contains(err.Error(), "nobody holds it"):
							err = nil
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
		}
		group.Wait()
	})
}
