package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
)

func (pg *pgBench) listen(d *postgres.Dialect) dialect.Listener {
	pg.Helper()
	w, err := d.OpenListener(pg.Context(), "listener")
	pg.must(err)
	pg.Cleanup(func() { w.Close() })
	return w
}

// wait puts a request for a held lock into the lock's queue.
func (pg *pgBench) wait(held dialect.Request, channel string) dialect.Request {
	pg.Helper()
	next := pg.request(held.Name)
	_, err := pg.d.Enqueue(pg.Context(), []dialect.Waiter{{Request: next, Channel: channel}})
	pg.must(err)
	return next
}

// handsOver releases a lock, and checks that the next waiter has it and is notified.
func (pg *pgBench) handsOver(held, next dialect.Request, w dialect.Listener) {
	pg.Helper()
	released, err := pg.d.Release(pg.Context(), []dialect.Claim{pgClaim(held)})
	pg.must(err)
	ctx, cancel := context.WithTimeout(pg.Context(), stepTimeout)
	defer cancel()
	h, err := w.Next(ctx)
	pg.must(err)
	rows, err := pg.d.Get(pg.Context(), []dialect.Key{held.Key})
	pg.must(err)
	if !released[0] || h.Owner != next.Owner || rows[0].Owner != next.Owner || rows[0].Fence != h.Fence {
		pg.Errorf("Release returned %t; the notification is %+v, want owner %q; the row is %+v",
			released[0], h, next.Owner, rows[0])
	}
}

// TestPostgresListenerCutOff checks that a connection that is cut off without notice is an error
// within twenty seconds, and that a connection that is merely quiet keeps working.
func TestPostgresListenerCutOff(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		p, through := newProxy(t, pg.url)
		db, err := postgres.Open(through)
		pg.must(err)
		defer db.Close()
		cut, quiet := pg.listen(postgres.New(db)), pg.listen(pg.d)
		p.blackhole()
		notified := make(chan error, 1)
		go func() {
			_, err := quiet.Next(t.Context())
			notified <- err
		}()
		since := time.Now()
		_, err = cut.Next(t.Context())
		if took := time.Since(since); err == nil || took > 20*time.Second+stepTimeout {
			t.Errorf("Next returned after %s: %v", took, err)
		}
		held := pg.request("lock")
		_, err = pg.d.Acquire(t.Context(), []dialect.Request{held})
		pg.must(err)
		pg.wait(held, quiet.Channel())
		_, err = pg.d.Release(t.Context(), []dialect.Claim{pgClaim(held)})
		pg.must(err)
		pg.must(<-notified)
	})
}

// TestPostgresHandOverCost checks that a release without waiters is one statement and sends no
// notification. A release that hands the lock over takes a second statement, unless that lock was
// handed over lately.
func TestPostgresHandOverCost(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		db, w := pg.traced()
		d, ctx := postgres.New(db), t.Context()
		listener := pg.listen(pg.d)
		for round := range 3 {
			held := pg.request(fmt.Sprint("lock", round))
			_, err := d.Acquire(ctx, []dialect.Request{held})
			pg.must(err)
			polls := pg.wait(held, "")
			var next, last dialect.Request
			release := func(r dialect.Request) func() error {
				return func() error { _, err := d.Release(ctx, []dialect.Claim{pgClaim(r)}); return err }
			}
			for _, step := range []struct {
				what string
				call func() error
				want int
			}{
				{"get a held row", func() error { _, err := d.Get(ctx, []dialect.Key{held.Key}); return err }, 1},
				{"release beside a waiter that polls", release(held), 1},
				{"acquire", func() error { _, err := d.Acquire(ctx, []dialect.Request{polls}); return err }, 1},
				{"the waiter leaves the queue", func() error {
					_, err := pg.d.Dequeue(ctx, []dialect.Claim{pgClaim(polls)})
					return err
				}, 0},
				{"another process waits", func() error { next = pg.wait(held, listener.Channel()); return nil }, 0},
				{"hand over", release(polls), 2},
				{"a third process waits", func() error { last = pg.wait(held, listener.Channel()); return nil }, 0},
				{"hand over again", func() error { return release(next)() }, 1},
				{"release, and read the queue again", func() error { return release(last)() }, 2},
			} {
				count := w.during(func() { pg.must(step.call()) })
				if want := (wireCount{step.want, step.want, step.want}); round > 0 && count != want {
					t.Errorf("%s: %+v, want %+v", step.what, count, want)
				}
			}
		}
	})
}

// TestPostgresReadsItsOwnQueue checks that releases find their queue by its key, whatever
// statistics the server has of the table, among many waiters for other locks.
func TestPostgresReadsItsOwnQueue(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		db := pg.open("")
		db.SetMaxOpenConns(1)
		d := postgres.New(db)
		pg.exec(db, "ALTER TABLE sqllock_waiters SET (autovacuum_enabled = off)")
		pg.exec(db, "INSERT INTO sqllock_waiters "+
			"(name, slot, owner, lease_id, channel, note, holds, hold, lock_delay, since) "+
			"SELECT 'other/' || i, 0, i, 'gone', 'nobody', '', '', 0, 0, now() FROM generate_series(1, 20000) AS i")
		requests := make([]dialect.Request, 50)
		for i := range requests {
			requests[i] = pg.request(fmt.Sprint("lock", i))
		}
		claims := make([]dialect.Claim, len(requests))
		for i, r := range requests {
			claims[i] = pgClaim(r)
		}
		scans := func() (n int) {
			pg.exec(db, "SELECT pg_stat_force_next_flush()")
			const query = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'sqllock_waiters'"
			pg.must(db.QueryRowContext(t.Context(), query).Scan(&n))
			return n
		}
		before := scans() // creating an index has read the table
		for range 8 {     // PostgreSQL may choose a generic plan after five executions
			_, err := d.Acquire(t.Context(), requests)
			pg.must(err)
			_, err = d.Release(t.Context(), claims)
			pg.must(err)
			for _, r := range requests[:8] {
				_, err = d.Acquire(t.Context(), []dialect.Request{r})
				pg.must(err)
				next := pg.wait(r, "nobody")
				_, err = d.Transfer(t.Context(), []dialect.Transfer{{Claim: pgClaim(r), Next: next}})
				pg.must(err)
				_, err = d.Queue(t.Context(), r.Key, 10)
				pg.must(err)
				_, err = d.Release(t.Context(), []dialect.Claim{pgClaim(r)})
				pg.must(err)
				_, err = d.Release(t.Context(), []dialect.Claim{pgClaim(next)})
				pg.must(err)
			}
		}
		if read := scans() - before; read > 0 {
			t.Errorf("%d statements read the whole table", read)
		}
	})
}

// TestPgBouncerNotifications checks that behind a pooler in transaction mode, where LISTEN works
// but no notification ever arrives, listening is refused with the reason. In session mode
// notifications arrive.
func TestPgBouncerNotifications(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "postgres15")
	for name, settings := range map[string][]string{
		"many": nil, "one": {"default_pool_size=1"}, "session": {"pool_mode=session"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pg := newPGBench(t, server.Database(t))
			db, err := postgres.Open(servers.PgBouncer(t, pg.url, settings...).URL)
			pg.must(err)
			defer db.Close()
			d := postgres.New(db)
			if name == "session" {
				w, held := pg.listen(d), pg.request("lock")
				_, err := pg.d.Acquire(t.Context(), []dialect.Request{held})
				pg.must(err)
				pg.handsOver(held, pg.wait(held, w.Channel()), w)
				return
			}
			for range 3 {
				w, err := d.OpenListener(t.Context(), "listener")
				if err == nil {
					w.Close()
				}
				if !errors.Is(err, dialect.ErrUnsupported) ||
					!strings.Contains(err.Error(), "pooler in transaction mode") ||
					!strings.Contains(err.Error(), "polling") || d.Classify(err) != dialect.ClassPermanent {
					t.Fatalf("OpenListener: %v (class %s)", err, d.Classify(err))
				}
			}
		})
	}
}

// TestPostgresQueuedDuringARelease enqueues a waiter while a release is in flight. The release
// can't see the waiter, and the waiter finds the lock still held. The waiter is handed the lock all
// the same, because the release reads the queue again. Here the release waits behind a guard, so
// that there is time for that.
func TestPostgresQueuedDuringARelease(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		w := pg.listen(pg.d)
		pg.queuedDuringARelease(w, "for the first time")
		pg.queuedDuringARelease(w, "again") // this release runs another statement
	})
}

func (pg *pgBench) queuedDuringARelease(w dialect.Listener, before string) {
	pg.Helper()
	held := pg.request("queued during a release")
	pg.acquire(held)
	tx, err := pg.db.BeginTx(pg.Context(), nil)
	pg.must(err)
	defer tx.Rollback()
	guarded, err := pg.d.Guard(pg.Context(), dialect.SQL(tx), []dialect.Claim{pgClaim(held)})
	pg.must(err)
	released := make(chan error, 1)
	go func() {
		ours, err := pg.d.Release(context.WithoutCancel(pg.Context()), []dialect.Claim{pgClaim(held)})
		if err == nil && !ours[0] {
			err = errors.New("Release reports that the lock isn't ours")
		}
		released <- err
	}()
	pg.awaitBlocked()
	next := pg.wait(held, w.Channel())
	pg.must(tx.Commit())
	pg.must(<-released)
	ctx, cancel := context.WithTimeout(pg.Context(), stepTimeout)
	defer cancel()
	h, err := w.Next(ctx)
	if err != nil || h.Owner != next.Owner || !guarded[0] {
		pg.Fatalf("%s: the notification is %+v, %v; want owner %q", before, h, err, next.Owner)
	}
	ours, err := pg.d.Release(pg.Context(), []dialect.Claim{pgClaim(next)})
	pg.must(err)
	if !ours[0] {
		pg.Fatalf("%s: the waiter's release was refused", before)
	}
}
