package gocronlock_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/sqllock"

	gocronlock "github.com/sqllock/sqllock/adapters/gocron"
)

const soon = 20 * time.Second

// hosts are two Clients on one SQLite file, each with a pool of its own as two processes have.
func hosts(t *testing.T) [2]*sqllock.Client {
	t.Helper()
	hosts, _ := hostsAndDB(t)
	return hosts
}

func hostsAndDB(t *testing.T) (hosts [2]*sqllock.Client, db *sql.DB) {
	t.Helper()
	file := "sqlite://" + filepath.Join(t.TempDir(), "a.db") + "?_synchronous=OFF"
	for i := range hosts {
		var err error
		db, err = sqlite.Open(file)
		must(t, err)
		t.Cleanup(func() { db.Close() })
		must(t, migrations.Up(t.Context(), db, sqlitemigrations.Engine))
		hosts[i], err = sqllock.New(t.Context(), sqlite.New(db), &sqllock.Options{
			TTL: time.Second, Logger: slog.New(slog.DiscardHandler),
		})
		must(t, err)
		t.Cleanup(func() { must(t, hosts[i].Close(context.Background())) })
	}
	return hosts, db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scheduler runs until the test ends.
func scheduler(t *testing.T, opts ...gocron.SchedulerOption) gocron.Scheduler {
	t.Helper()
	s, err := gocron.NewScheduler(opts...)
	must(t, err)
	t.Cleanup(func() { must(t, s.Shutdown()) })
	return s
}

func hear[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(soon):
		t.Fatalf("not %s within %s", what, soon)
		panic("unreachable")
	}
}

// While a job runs on one host, and for as long as HoldAtLeast says, the other is refused.
func TestLocker(t *testing.T) {
	for what, opts := range map[string][]sqllock.Option{"while it runs": nil, "after a quick run": {sqllock.HoldAtLeast(time.Minute)}} {
		t.Run(what, func(t *testing.T) {
			running, refused, finish := make(chan int, 10), make(chan error, 10), make(chan struct{})
			defer close(finish)
			for i, locks := range hosts(t) {
				locker, err := gocronlock.NewLocker(locks, opts...)
				must(t, err)
				s := scheduler(t, gocron.WithDistributedLocker(locker))
				_, err = s.NewJob(gocron.OneTimeJob(gocron.OneTimeJobStartImmediately()), gocron.NewTask(func() {
					running <- i
					if opts == nil {
						<-finish
					}
				}), gocron.WithName("report"), gocron.WithEventListeners(
					gocron.AfterLockError(func(_ uuid.UUID, _ string, err error) { refused <- err }),
				))
				must(t, err)
				s.Start()
				if i == 0 {
					hear(t, "running on the first host", running)
				}
			}
			if err := hear(t, "refused on the second", refused); !errors.Is(err, sqllock.ErrNotAcquired) {
				t.Errorf("refused with %v", err)
			}
			if len(running) > 0 {
				t.Error("it ran on both hosts")
			}
		})
	}
}

// After it has run on one host, without HoldAtLeast, it may run on the other.
func TestUnlock(t *testing.T) {
	both := hosts(t)
	a, err := gocronlock.NewLocker(both[0])
	must(t, err)
	b, err := gocronlock.NewLocker(both[1])
	must(t, err)
	lock, err := a.Lock(t.Context(), "report")
	must(t, err)
	if _, err := b.Lock(t.Context(), "report"); !errors.Is(err, sqllock.ErrNotAcquired) {
		t.Errorf("Lock of what another has: %v", err)
	}
	must(t, lock.Unlock(t.Context()))
	lock, err = b.Lock(t.Context(), "report")
	must(t, err)
	must(t, lock.Unlock(t.Context()))
}

// One host leads and runs the jobs; when it leaves, the other does.
func TestElector(t *testing.T) {
	both := hosts(t)
	ran := make(chan int)
	var electors [2]*gocronlock.Elector
	for i, locks := range both {
		var err error
		electors[i], err = gocronlock.NewElector(t.Context(), locks, "cron leader")
		must(t, err)
		if i == 0 {
			awaitLeader(t, electors[0])
		}
		s := scheduler(t, gocron.WithDistributedElector(electors[i]))
		_, err = s.NewJob(gocron.DurationJob(20*time.Millisecond), gocron.NewTask(func(ctx context.Context) {
			select {
			case ran <- i:
			case <-ctx.Done():
			}
		}))
		must(t, err)
		s.Start()
	}
	for range 5 {
		if host := hear(t, "run", ran); host != 0 {
			t.Errorf("host %d ran a job, and doesn't lead", host)
		}
	}
	if err := electors[1].IsLeader(t.Context()); !errors.Is(err, gocronlock.ErrNotLeader) {
		t.Errorf("IsLeader of the second: %v", err)
	}
	must(t, electors[0].Close(t.Context()))
	for host := 0; host != 1; {
		host = hear(t, "run by the second host", ran)
	}
	must(t, electors[1].Close(t.Context()))
	if err := electors[1].IsLeader(t.Context()); !errors.Is(err, gocronlock.ErrNotLeader) {
		t.Errorf("IsLeader after Close: %v", err)
	}
}

func awaitLeader(t *testing.T, e *gocronlock.Elector) {
	t.Helper()
	for deadline := time.Now().Add(soon); e.IsLeader(t.Context()) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no leader within %s: %v", soon, e.IsLeader(t.Context()))
		}
	}
}

// A leader that has lost its lock doesn't lead, and campaigns again.
func TestElectorLost(t *testing.T) {
	both, db := hostsAndDB(t)
	e, err := gocronlock.NewElector(t.Context(), both[0], "leader")
	must(t, err)
	awaitLeader(t, e)
	before := fence(t, both[1], "leader")
	_, err = db.ExecContext(t.Context(), "DELETE FROM sqllock_leases") // as after a pause that was longer than its TTL
	must(t, err)
	for deadline := time.Now().Add(soon); fence(t, both[1], "leader") == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never campaigned again")
		}
	}
	awaitLeader(t, e)
	must(t, e.Close(t.Context()))
	must(t, e.Close(t.Context()))
}

func fence(t *testing.T, c *sqllock.Client, name string) int64 {
	t.Helper()
	info, err := c.Inspect(t.Context(), name)
	must(t, err)
	return info.Fence
}

func TestRefused(t *testing.T) {
	if _, err := gocronlock.NewLocker(nil); !errors.Is(err, sqllock.ErrInvalid) {
		t.Errorf("NewLocker: %v", err)
	}
	if _, err := gocronlock.NewElector(t.Context(), nil, "leader"); !errors.Is(err, sqllock.ErrInvalid) {
		t.Errorf("NewElector: %v", err)
	}
	both := hosts(t)
	if _, err := gocronlock.NewElector(t.Context(), both[0], ""); !errors.Is(err, sqllock.ErrInvalid) {
		t.Errorf("NewElector without a name: %v", err)
	}
	if _, err := gocronlock.NewElector(t.Context(), both[0], "leader", sqllock.HoldAtLeast(time.Second)); !errors.Is(err, sqllock.ErrInvalid) {
		t.Errorf("NewElector with an option that elections don't have: %v", err)
	}
	lock, err := both[1].TryAcquire(t.Context(), "leader")
	must(t, err)
	e, err := gocronlock.NewElector(t.Context(), both[0], "leader")
	must(t, err)
	for deadline := time.Now().Add(soon); !errors.Is(e.IsLeader(t.Context()), sqllock.ErrInvalid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("IsLeader of a name that is in use as a lock: %v", e.IsLeader(t.Context()))
		}
	}
	if err := e.Close(t.Context()); !errors.Is(err, sqllock.ErrInvalid) {
		t.Errorf("Close after that: %v", err)
	}
	must(t, lock.Release(t.Context()))
}
