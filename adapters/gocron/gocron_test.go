package gocronlock_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	gocronlock "github.com/sqllock/sqllock/adapters/gocron"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

const soon = 20 * time.Second

// hosts returns two Clients on one database in memory, as in two processes.
func hosts(t *testing.T) [2]*sqllock.Client {
	t.Helper()
	hosts, _ := hostsAndDatabase(t)
	return hosts
}

func hostsAndDatabase(t *testing.T) (hosts [2]*sqllock.Client, db *sqllocktest.Dialect) {
	t.Helper()
	db = sqllocktest.New()
	for i := range hosts {
		var err error
		hosts[i], err = sqllock.New(t.Context(), db, &sqllock.Options{
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

// scheduler returns a scheduler that is shut down when the test ends.
func scheduler(t *testing.T, opts ...gocron.SchedulerOption) gocron.Scheduler {
	t.Helper()
	s, err := gocron.NewScheduler(opts...)
	must(t, err)
	t.Cleanup(func() { must(t, s.Shutdown()) })
	return s
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(soon):
		t.Fatalf("%s: nothing within %s", what, soon)
		panic("unreachable")
	}
}

// While a job runs on one host, and for as long as HoldAtLeast says, the other host is refused.
func TestLocker(t *testing.T) {
	for what, opts := range map[string][]sqllock.Option{
		"while it runs":     nil,
		"after a quick run": {sqllock.HoldAtLeast(time.Minute)},
	} {
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
					receive(t, "run on the first host", running)
				}
			}
			if err := receive(t, "refusal on the second host", refused); !errors.Is(err, sqllock.ErrNotAcquired) {
				t.Errorf("refused with %v", err)
			}
			if len(running) > 0 {
				t.Error("it ran on both hosts")
			}
		})
	}
}

// After a job has run on one host, without HoldAtLeast, it may run on the other.
func TestUnlock(t *testing.T) {
	both := hosts(t)
	a, err := gocronlock.NewLocker(both[0])
	must(t, err)
	b, err := gocronlock.NewLocker(both[1])
	must(t, err)
	lock, err := a.Lock(t.Context(), "report")
	must(t, err)
	if _, err := b.Lock(t.Context(), "report"); !errors.Is(err, sqllock.ErrNotAcquired) {
		t.Errorf("Lock while another host holds it: %v", err)
	}
	must(t, lock.Unlock(t.Context()))
	lock, err = b.Lock(t.Context(), "report")
	must(t, err)
	must(t, lock.Unlock(t.Context()))
}

// One host leads and runs the jobs. When it leaves, the other does.
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
		if host := receive(t, "run", ran); host != 0 {
			t.Errorf("host %d ran a job without leading", host)
		}
	}
	if err := electors[1].IsLeader(t.Context()); !errors.Is(err, gocronlock.ErrNotLeader) {
		t.Errorf("IsLeader of the second: %v", err)
	}
	must(t, electors[0].Close(t.Context()))
	for host := 0; host != 1; {
		host = receive(t, "run by the second host", ran)
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

// A leader that has lost its lock stops leading and campaigns again.
func TestElectorLost(t *testing.T) {
	both, db := hostsAndDatabase(t)
	e, err := gocronlock.NewElector(t.Context(), both[0], "leader")
	must(t, err)
	awaitLeader(t, e)
	observer, err := election.New(both[1], "leader")
	must(t, err)
	leader, _, err := observer.Leader(t.Context())
	must(t, err)
	db.ExpireAllLeases() // as after a pause longer than the TTL
	must(t, err)
	for deadline, next := time.Now().Add(soon), leader; next.Term <= leader.Term; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the elector didn't campaign again")
		}
		next, _, err = observer.Leader(t.Context())
		must(t, err)
	}
	awaitLeader(t, e)
	must(t, e.Close(t.Context()))
	must(t, e.Close(t.Context()))
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
}
