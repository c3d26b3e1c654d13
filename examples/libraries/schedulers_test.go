package libraries

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/robfig/cron/v3"

	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

const soon = 30 * time.Second

// TestOneHost runs a job on two hosts. The second one, whose schedule comes a moment later, skips
// it.
func TestOneHost(t *testing.T) {
	locks := clients(t, sqllocktest.New())
	var ran atomic.Int32
	for _, host := range locks {
		cron.NewChain(OneHost(host, "hourly", time.Hour)).Then(cron.FuncJob(func() { ran.Add(1) })).Run()
	}
	if n := ran.Load(); n != 1 {
		t.Errorf("the job ran %d times", n)
	}
}

// TestAddOnce runs two schedulers on one schedule until two of its times have passed.
func TestAddOnce(t *testing.T) {
	locks := clients(t, sqllocktest.New())
	ran, began := make(chan int, 100), time.Now()
	for i, host := range locks {
		c := cron.New(cron.WithSeconds(), cron.WithLocation(time.UTC))
		err := AddOnce(t.Context(), c, host, "report", "* * * * * *", func(context.Context) error {
			ran <- i
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Start()
		t.Cleanup(func() { <-c.Stop().Done() })
	}
	for range 2 {
		select {
		case <-ran:
		case <-time.After(soon):
			t.Fatal("the job didn't run")
		}
	}
	runs := 2 + len(ran)
	if times := time.Now().Unix() - began.Unix(); int64(runs) > times {
		t.Errorf("the job ran %d times on two hosts, and was scheduled %d times", runs, times)
	}
}

// TestRiver lets river work on a job while another process holds the lock, and after that.
func TestRiver(t *testing.T) {
	t.Parallel()
	db, url := database(t, "postgres18")
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	locks := clients(t, postgres.NewPool(pool))
	workers := river.NewWorkers()
	river.AddWorker(workers, &DepositWorker{Pool: pool, Locks: locks[0]})
	client, err := river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}}, Workers: workers,
	})
	if err != nil {
		t.Fatal(err)
	}
	events, unsubscribe := client.Subscribe(
		river.EventKindJobCompleted, river.EventKindJobSnoozed, river.EventKindJobFailed)
	defer unsubscribe()
	held, err := locks[1].Acquire(t.Context(), lockName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Insert(t.Context(), DepositArgs{ID: 1, Amount: 7}, nil); err != nil {
		t.Fatal(err)
	}
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	expect(t, events, river.EventKindJobSnoozed)
	if n := balance(t, db); n != 0 {
		t.Errorf("the balance is %d while another process holds the lock", n)
	}
	if err := held.Release(t.Context()); err != nil && !errors.Is(err, sqllock.ErrLost) {
		t.Fatal(err)
	}
	expect(t, events, river.EventKindJobCompleted)
	if n := balance(t, db); n != 7 {
		t.Errorf("the balance is %d after the job", n)
	}
}

func expect(t *testing.T, events <-chan *river.Event, kind river.EventKind) {
	t.Helper()
	select {
	case event := <-events:
		if event.Kind != kind {
			t.Fatalf("%s: %v; want %s", event.Kind, event.Job.Errors, kind)
		}
	case <-time.After(soon):
		t.Fatalf("no event %s", kind)
	}
}
