package integration

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// Three processes read and write a page: no reader sees it half written, and no writing is lost.
func TestSharedCrowd(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, crowdTables...)
		all := crowds(t, url, crowdArgs{Routines: 4, For: lasting(2*time.Second, 20*time.Second)})
		t.Logf("%d reads, %d writes", all.Reads, all.Writes)
		if n := scan[int64](t, target, "SELECT b FROM page"); n != all.Writes {
			t.Errorf("%d writes, and the page says %d", all.Writes, n)
		}
		if all.Reads == 0 || all.Writes == 0 {
			t.Error("this has shown nothing")
		}
		nothingHeld(t, client(t, target, sqllock.Options{}))
	})
}

// nothingHeld: all locks were given back.
func nothingHeld(t *testing.T, c *sqllock.Client) {
	t.Helper()
	await(t, "all to be given back", patience, func() bool {
		held, err := heldLocks(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return len(held) == 0
	})
}

// Readers are inside together, and on their way in, too: none of them is asked to wait for another.
func TestReadersTogether(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		const readers = 8
		url := database(t, s)
		first := client(t, connect(t, url), sqllock.Options{Holder: "first"})
		mustRelease(t, mustTry(t, first, "page", sqllock.Shared())) // so that the name is known to have readers
		var asking, inside sync.WaitGroup
		asking.Add(readers)
		inside.Add(readers)
		var group sync.WaitGroup
		for range readers {
			target := connect(t, url)
			var once sync.Once
			tapping := *target
			tapping.Dialect = tapped(target.Dialect, func(operation string, do func()) {
				if operation == "acquire" {
					once.Do(func() { // all of them ask before any is answered
						asking.Done()
						asking.Wait()
					})
				}
				do()
			})
			c := client(t, &tapping, sqllock.Options{})
			group.Go(func() {
				lock, err := c.Acquire(t.Context(), "page", sqllock.Shared())
				inside.Done()
				if err != nil {
					t.Error(err)
					return
				}
				inside.Wait() // all of them are there before any leaves
				mustRelease(t, lock)
			})
		}
		group.Wait()
		mustRelease(t, mustTry(t, first, "page"))
	})
}

// A stream of readers that never ends keeps no writer out for long: it waits for those who are inside when it comes, and they
// stay for 50 ms at most.
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
						lock, err := c.Acquire(ctx, "page", sqllock.Shared())
						if err != nil {
							if ctx.Err() == nil {
								t.Error(err)
							}
							continue
						}
						reads.Add(1)
						time.Sleep(time.Duration(20+10*i) * time.Millisecond) // they overlap: without a writer there is always one
						mustRelease(t, lock)
					}
				})
			}
		}
		defer group.Wait()
		defer end()
		await(t, "the readers", patience, func() bool { return reads.Load() > 20 })
		writer := client(t, connect(t, url), sqllock.Options{Holder: "writer"})
		var most time.Duration
		for range 5 {
			before := reads.Load()
			began := time.Now()
			patient, cancel := context.WithTimeout(t.Context(), patience)
			lock, err := writer.Acquire(patient, "page")
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, time.Since(began))
			mustRelease(t, lock)
			await(t, "more readers", patience, func() bool { return reads.Load() > before+5 })
		}
		t.Logf("a writer waited for %s at most, among %d reads", most.Round(time.Millisecond), reads.Load())
		if most > writerWaits {
			t.Errorf("a writer waited for %s among readers; want %s at most", most, writerWaits)
		}
	})
}

// writerWaits is 50 ms for the readers, a poll of 100 ms, and the rest for a machine that is busy with all engines at once.
const writerWaits = 3 * time.Second

// A reader's transaction that is guarded keeps writers out until it commits, though the reader's lease is over.
func TestReaderGuards(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		reader := client(t, target, sqllock.Options{Holder: "reader"})
		writer := client(t, connect(t, url), sqllock.Options{Holder: "writer"})
		lock := mustTry(t, reader, "page", sqllock.Shared())
		execute(t, target, "DELETE FROM sqllock_leases WHERE holder = 'reader'") // as whoever finds that it has run out
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
		if early, err := writer.Acquire(ctx, "page"); !errors.Is(err, sqllock.ErrNotAcquired) {
			t.Fatalf("a writer beside a guarded reader: %v, %v", early, err)
		}
		if err := tx.Commit(); err != nil && !errors.Is(err, sql.ErrTxDone) {
			t.Fatal(err)
		}
		got, err := writer.Acquire(t.Context(), "page")
		if err != nil {
			t.Fatal(err)
		}
		guardRefused(t, target, lock)
		mustRelease(t, got)
	})
}

// guardRefused: a lock that is another's by now guards nothing.
func guardRefused(t *testing.T, target *open.Database, lock *sqllock.Lock) {
	t.Helper()
	tx, err := target.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if err := lock.Guard(t.Context(), tx); !errors.Is(err, sqllock.ErrLost) {
		t.Errorf("Guard of a reader that was overtaken: %v; want ErrLost", err)
	}
}

// Readers, writers and holders of permits are killed, or frozen and resumed: those who wait for them get what they held when
// the lease has run out, not before, and soon after; who is resumed has lost it.
func TestHoldersDie(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		t.Run(map[bool]string{false: "killed", true: "frozen"}[frozen], func(t *testing.T) {
			t.Parallel()
			servers.Each(t, func(t *testing.T, s *servers.Server) { holdersDie(t, database(t, s), frozen) })
		})
	}
}

// successions are who holds and who wants it.
var successions = []struct{ holder, heir lockArgs }{
	{lockArgs{Name: "read", Shared: true}, lockArgs{Name: "read"}},
	{lockArgs{Name: "write"}, lockArgs{Name: "write"}},
	{lockArgs{Name: "write for read"}, lockArgs{Name: "write for read", Shared: true}},
	{lockArgs{Name: "permit", Permits: 1}, lockArgs{Name: "permit", Permits: 1}},
}

func holdersDie(t *testing.T, url string, frozen bool) {
	stopped := make(chan struct{}, 1)
	holder := start(t, setup{URL: url, Holder: "holder", TTL: crashTTL, ReapEvery: -1}, func(m message) {
		if m.Event == "frozen" {
			stopped <- struct{}{}
		}
	})
	heir := start(t, setup{URL: url, Holder: "heir", TTL: crashTTL, ReapEvery: -1}, nil)
	before := make([]acquired, len(successions))
	for i, s := range successions {
		if s.holder.Permits == 0 { // the name has readers
			must[acquired](holder, "acquire", lockArgs{Name: s.holder.Name, Shared: true})
			must[any](holder, "release", lockArgs{Name: s.holder.Name})
		}
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
	var group sync.WaitGroup // parallel subtests might have to wait for their turn
	for i, s := range successions {
		group.Go(func() {
			_, late := takeOverAs(t, heir, s.heir, before[i])
			t.Logf("%q was taken over %s after the lease's end", s.heir.Name, late.Round(time.Millisecond))
			if late > time.Second {
				t.Errorf("%q was taken over %s after the lease's end; want 1s at most", s.heir.Name, late)
			}
		})
	}
	group.Wait()
	if !frozen || t.Failed() {
		return
	}
	holder.cont()
	if _, err := hear[any](holder, "freeze", thawed, patience); err != nil {
		t.Fatal(err)
	}
	for _, s := range successions {
		for _, what := range []string{"guard", "release"} {
			if _, err := ask[any](holder, what, lockArgs{Name: s.holder.Name}, patience); !errors.Is(err, sqllock.ErrLost) {
				t.Errorf("%s of %q by the one that was resumed: %v; want ErrLost", what, s.holder.Name, err)
			}
		}
		must[any](heir, "guard", lockArgs{Name: s.heir.Name})
	}
}
