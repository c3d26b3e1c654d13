package integration

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// TestSharedContention lets three processes read and write a page: no reader sees it half written,
// and no write is lost.
func TestSharedContention(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, contentionTables...)
		all := runContention(t, url, contentionArgs{Routines: 4, For: long.Or(2*time.Second, 10*time.Second)})
		t.Logf("%d reads, %d writes", all.Reads, all.Writes)
		if n := scan[int64](t, target, "SELECT b FROM page"); n != all.Writes {
			t.Errorf("%d writes, but the page has %d", all.Writes, n)
		}
		if all.Reads == 0 || all.Writes == 0 {
			t.Error("without reads and writes this run has shown nothing")
		}
		nothingHeld(t, client(t, target, sqllock.Options{}))
	})
}

// nothingHeld waits until all locks have been released.
func nothingHeld(t *testing.T, c *sqllock.Client) {
	t.Helper()
	await(t, "all locks to be released", stepTimeout, func() bool {
		held, err := heldLocks(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return len(held) == 0
	})
}

// TestReadersTogether checks that readers hold the lock together, and that none of them waits for
// another while they acquire it.
func TestReadersTogether(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		const readers = 8
		url := database(t, s)
		first := client(t, connect(t, url), sqllock.Options{Holder: "first"})
		var asking, inside sync.WaitGroup
		asking.Add(readers)
		inside.Add(readers)
		var group sync.WaitGroup
		for range readers {
			target := connect(t, url)
			var once sync.Once
			observed := *target
			observed.Dialect = newFaultDialect(target.Dialect, func(operation string, do func()) {
				if operation == "acquire" {
					once.Do(func() { // all of them ask before any gets a reply
						asking.Done()
						asking.Wait()
					})
				}
				do()
			})
			c := client(t, &observed, sqllock.Options{})
			group.Go(func() {
				lock, err := c.RWLock("page").AcquireShared(t.Context())
				inside.Done()
				if err != nil {
					t.Error(err)
					return
				}
				inside.Wait() // all of them hold the lock before any releases it
				mustRelease(t, lock)
			})
		}
		group.Wait()
		mustRelease(t, mustTry(t, first, "page", locktest.Writer))
	})
}

// TestWriterAmongReaders checks that an endless stream of readers doesn't keep a writer waiting for
// long. The writer only waits for the readers that hold the lock when it arrives. The test counts
// the reads that begin meanwhile, and not the time, which depends on the machine.
func TestWriterAmongReaders(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		ctx, end := context.WithCancel(t.Context())
		var group sync.WaitGroup
		var reads atomic.Int64
		for range 3 {
			c := client(t, connect(t, url), sqllock.Options{})
			for i := range 4 {
				group.Go(func() {
					for ctx.Err() == nil {
						lock, err := c.RWLock("page").AcquireShared(ctx)
						if err != nil {
							if ctx.Err() == nil {
								t.Error(err)
							}
							continue
						}
						reads.Add(1)
						// The readers overlap: without a writer there is always one.
						time.Sleep(time.Duration(20+10*i) * time.Millisecond)
						mustRelease(t, lock)
					}
				})
			}
		}
		defer group.Wait()
		defer end()
		await(t, "the readers", stepTimeout, func() bool { return reads.Load() > 20 })
		writer := client(t, connect(t, url), sqllock.Options{Holder: "writer"})
		var longest time.Duration
		var most int64
		for range 5 {
			before := reads.Load()
			began := time.Now()
			waiting, cancel := context.WithTimeout(t.Context(), stepTimeout)
			lock, err := writer.RWLock("page").Acquire(waiting)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			longest, most = max(longest, time.Since(began)), max(most, reads.Load()-before)
			mustRelease(t, lock)
			await(t, "more readers", stepTimeout, func() bool { return reads.Load() > before+5 })
		}
		t.Logf("a writer waited for %s at most, and for %d reads; there were %d",
			longest.Round(time.Millisecond), most, reads.Load())
		if most > readsWhileWaiting {
			t.Errorf("%d reads began while a writer waited; want %d at most", most, readsWhileWaiting)
		}
	})
}

// readsWhileWaiting is twenty for each of twelve readers. Those may be faster that ask while the
// writer does, so on a busy machine sixty reads were seen. A writer that starves sees thousands.
const readsWhileWaiting = 240

// TestReaderGuards checks that a reader's guarded transaction keeps writers out until it commits,
// even though the reader's lease is gone.
func TestReaderGuards(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		reader := client(t, target, sqllock.Options{Holder: "reader"})
		writer := client(t, connect(t, url), sqllock.Options{Holder: "writer"})
		lock := mustTry(t, reader, "page", locktest.Shared)
		// As a client does that finds the lease expired.
		execute(t, target, "DELETE FROM sqllock_leases WHERE holder = 'reader'")
		tx, err := target.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if err := lock.Guard(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		refused := make(chan error)
		go func() { // on SQLite the goroutine that began tx would get an error at once
			_, err := writer.RWLock("page").Acquire(ctx)
			refused <- err
		}()
		if err := <-refused; !errors.Is(err, sqllock.ErrNotAcquired) {
			t.Fatalf("a writer beside a guarded reader: %v", err)
		}
		if err := tx.Commit(); err != nil && !errors.Is(err, sql.ErrTxDone) {
			t.Fatal(err)
		}
		got, err := writer.RWLock("page").Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		guardRefused(t, target, lock)
		mustRelease(t, got)
	})
}

// guardRefused checks that a lock that another client holds by now guards nothing.
func guardRefused(t *testing.T, target *open.Database, lock *sqllock.Lock) {
	t.Helper()
	tx, err := target.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if err := lock.Guard(t.Context(), tx); !errors.Is(err, sqllock.ErrLost) {
		t.Errorf("Guard of a reader whose lock a writer has taken over: %v; want ErrLost", err)
	}
}

// TestHoldersDie kills, or freezes and resumes, holders of read locks, write locks and permits. The
// waiters get what they held soon after the lease has expired, and not before. A resumed holder has
// lost its locks.
func TestHoldersDie(t *testing.T) {
	t.Parallel()
	for _, frozen := range []bool{false, true} {
		t.Run(map[bool]string{false: "killed", true: "frozen"}[frozen], func(t *testing.T) {
			servers.Each(t, func(t *testing.T, s *servers.Server) { holdersDie(t, database(t, s), frozen) })
		})
	}
}

// successions are pairs of a holder and the next holder that waits for it.
var successions = []struct{ holder, nextHolder lockArgs }{
	{lockArgs{Name: "read", Shared: true}, lockArgs{Name: "read", Writer: true}},
	{lockArgs{Name: "write", Writer: true}, lockArgs{Name: "write", Writer: true}},
	{lockArgs{Name: "write for read", Writer: true}, lockArgs{Name: "write for read", Shared: true}},
	{lockArgs{Name: "permit", Permits: 1}, lockArgs{Name: "permit", Permits: 1}},
}

func holdersDie(t *testing.T, url string, frozen bool) {
	stopped := make(chan struct{}, 1)
	holder := start(t, setup{URL: url, Holder: "holder", TTL: crashTTL, ReapEvery: -1}, func(m message) {
		if m.Event == "frozen" {
			stopped <- struct{}{}
		}
	})
	nextHolder := start(t, setup{URL: url, Holder: "next holder", TTL: crashTTL, ReapEvery: -1}, nil)
	before := make([]acquired, len(successions))
	for i, s := range successions {
		before[i] = must[acquired](holder, "acquire", s.holder)
	}
	var thawed <-chan message
	if frozen {
		var err error
		if thawed, err = holder.send("freeze", struct{}{}); err != nil {
			t.Fatal(err)
		}
		<-stopped
	} else {
		holder.kill()
	}
	var group sync.WaitGroup // parallel subtests might not run at the same time
	for i, s := range successions {
		group.Go(func() {
			_, late := takeOverAs(t, nextHolder, s.nextHolder, before[i])
			t.Logf("%q was taken over %s after the lease's end", s.nextHolder.Name, late.Round(time.Millisecond))
		})
	}
	group.Wait()
	if !frozen || t.Failed() {
		return
	}
	holder.cont()
	if _, err := receive[any](holder, "freeze", thawed, stepTimeout); err != nil {
		t.Fatal(err)
	}
	for _, s := range successions {
		for _, what := range []string{"guard", "release"} {
			_, err := ask[any](holder, what, lockArgs{Name: s.holder.Name}, stepTimeout)
			if !errors.Is(err, sqllock.ErrLost) {
				t.Errorf("%s of %q by the resumed holder: %v; want ErrLost", what, s.holder.Name, err)
			}
		}
		must[any](nextHolder, "guard", lockArgs{Name: s.nextHolder.Name})
	}
}
