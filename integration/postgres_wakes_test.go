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

func (pg *pgBench) listen(d *postgres.Dialect) dialect.Wakes {
	pg.Helper()
	w, err := d.OpenWakes(pg.Context(), "listener")
	pg.must(err)
	pg.Cleanup(func() { w.Close() })
	return w
}

// wait puts a request for a held lock into its queue.
func (pg *pgBench) wait(held dialect.Request, channel string) dialect.Request {
	pg.Helper()
	next := pg.request(held.Name)
	_, err := pg.d.Enqueue(pg.Context(), []dialect.Waiter{{Request: next, Channel: channel}})
	pg.must(err)
	return next
}

// handsOver releases a lock, and checks that the next one has it and is told.
func (pg *pgBench) handsOver(held, next dialect.Request, w dialect.Wakes) {
	pg.Helper()
	released, err := pg.d.Release(pg.Context(), []dialect.Claim{pgClaim(held)})
	pg.must(err)
	ctx, cancel := context.WithTimeout(pg.Context(), patience)
	defer cancel()
	h, err := w.Next(ctx)
	pg.must(err)
	rows, err := pg.d.Look(pg.Context(), []dialect.Key{held.Key})
	pg.must(err)
	if !released[0] || h.Owner != next.Owner || rows[0].Owner != next.Owner || rows[0].Fence != h.Fence {
		pg.Errorf("Release answered %t; heard %+v, want %q; the row is %+v", released[0], h, next.Owner, rows[0])
	}
}

// A connection that is cut off, and that nobody is told of, is an error within twenty seconds; one that is only quiet
// goes on.
func TestPostgresWakesCutOff(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		p, through := newProxy(t, pg.url)
		db, err := postgres.Open(through)
		pg.must(err)
		defer db.Close()
		cut, quiet := pg.listen(postgres.New(db)), pg.listen(pg.d)
		p.blackhole()
		heard := make(chan error, 1)
		go func() {
			_, err := quiet.Next(t.Context())
			heard <- err
		}()
		since := time.Now()
		_, err = cut.Next(t.Context())
		if took := time.Since(since); err == nil || took > 20*time.Second+patience {
			t.Errorf("Next answered after %s: %v", took, err)
		}
		held := pg.request("lock")
		_, err = pg.d.Acquire(t.Context(), []dialect.Request{held})
		pg.must(err)
		pg.wait(held, quiet.Channel())
		_, err = pg.d.Release(t.Context(), []dialect.Claim{pgClaim(held)})
		pg.must(err)
		pg.must(<-heard)
	})
}

// A release where nobody waits is one statement and sends nothing. One that hands the lock over is a second one, unless it was
// handed over lately.
func TestPostgresHandOverCost(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		db, w := pg.traced()
		d, ctx := postgres.New(db), t.Context()
		wakes := pg.listen(pg.d)
		for round := range 3 {
			held := pg.request(fmt.Sprint("lock", round))
			_, err := d.Acquire(ctx, []dialect.Request{held})
			pg.must(err)
			polls := pg.wait(held, "")
			var next, last dialect.Request
			for _, step := range []struct {
				what string
				call func() error
				want int
			}{
				{"look at a held row", func() error { _, err := d.Look(ctx, []dialect.Key{held.Key}); return err }, 1},
				{"release beside one who polls", func() error { _, err := d.Release(ctx, []dialect.Claim{pgClaim(held)}); return err }, 1},
				{"acquire", func() error { _, err := d.Acquire(ctx, []dialect.Request{polls}); return err }, 1},
				{"it waits no more", func() error { _, err := pg.d.Dequeue(ctx, []dialect.Claim{pgClaim(polls)}); return err }, 0},
				{"another process waits", func() error { next = pg.wait(held, wakes.Channel()); return nil }, 0},
				{"hand over", func() error { _, err := d.Release(ctx, []dialect.Claim{pgClaim(polls)}); return err }, 2},
				{"another one waits", func() error { last = pg.wait(held, wakes.Channel()); return nil }, 0},
				{"hand over again", func() error { _, err := d.Release(ctx, []dialect.Claim{pgClaim(next)}); return err }, 1},
				{"release, and look again", func() error { _, err := d.Release(ctx, []dialect.Claim{pgClaim(last)}); return err }, 2},
			} {
				count := w.during(func() { pg.must(step.call()) })
				if want := (wireCount{step.want, step.want, step.want}); round > 0 && count != want {
					t.Errorf("%s: %+v, want %+v", step.what, count, want)
				}
			}
		}
	})
}

// Releases find their queue by its key, whatever the server believes of the table, in a crowd that waits for others.
func TestPostgresReadsItsOwnQueue(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		db := pg.open("")
		db.SetMaxOpenConns(1)
		d := postgres.New(db)
		pg.exec(db, "ALTER TABLE sqllock_waiters SET (autovacuum_enabled = off)")
		pg.exec(db, "INSERT INTO sqllock_waiters (name, slot, owner, lease_id, channel, note, holds, hold, lock_delay, since) "+
			"SELECT 'crowd/' || i, 0, i, 'gone', 'nobody', '', '', 0, 0, now() FROM generate_series(1, 20000) AS i")
		requests := make([]dialect.Request, 50)
		for i := range requests {
			requests[i] = pg.request(fmt.Sprint("lock", i))
		}
		claims := make([]dialect.Claim, len(requests))
		for i, r := range requests {
			claims[i] = pgClaim(r)
		}
		for range 8 { // more often than a plan is made for each time
			_, err := d.Acquire(t.Context(), requests)
			pg.must(err)
			_, err = d.Release(t.Context(), claims)
			pg.must(err)
			for _, r := range requests[:8] {
				_, err = d.Acquire(t.Context(), []dialect.Request{r})
				pg.must(err)
				next := pg.wait(r, "nobody")
				_, err = d.Pass(t.Context(), []dialect.Pass{{Claim: pgClaim(r), Next: next}})
				pg.must(err)
				_, err = d.Queue(t.Context(), r.Key, 10)
				pg.must(err)
				_, err = d.Release(t.Context(), []dialect.Claim{pgClaim(r)})
				pg.must(err)
				_, err = d.Release(t.Context(), []dialect.Claim{pgClaim(next)})
				pg.must(err)
			}
		}
		pg.exec(db, "SELECT pg_stat_force_next_flush()")
		var scans int
		pg.must(db.QueryRowContext(t.Context(), "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'sqllock_waiters'").Scan(&scans))
		if scans > 0 {
			t.Errorf("%d statements read the whole table", scans)
		}
	})
}

// Behind a pooler in transaction mode LISTEN works, and nothing is ever heard: that is found out, with the reason. In
// session mode it is heard.
func TestPgBouncerWakes(t *testing.T) {
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
				w, err := d.OpenWakes(t.Context(), "listener")
				if err == nil {
					w.Close()
				}
				if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), "pooler in transaction mode") ||
					!strings.Contains(err.Error(), "polling") || d.Classify(err) != dialect.Permanent {
					t.Fatalf("OpenWakes: %v (class %s)", err, d.Classify(err))
				}
			}
		})
	}
}

// Who takes his place while a release is on its way, which can't see him, and finds the lock still held, is handed it all
// the same: the release looks again. Here it waits behind a guard, so that there is time for that.
func TestPostgresQueuedDuringARelease(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		w := pg.listen(pg.d)
		pg.queuedDuringARelease(w, "for the first time")
		pg.queuedDuringARelease(w, "again") // by another way to release
	})
}

func (pg *pgBench) queuedDuringARelease(w dialect.Wakes, before string) {
	pg.Helper()
	held := pg.request("queued during a release")
	pg.acquire(held)
	tx, err := pg.db.BeginTx(pg.Context(), nil)
	pg.must(err)
	defer tx.Rollback()
	guarded, err := pg.d.Guard(pg.Context(), tx, []dialect.Claim{pgClaim(held)})
	pg.must(err)
	released := make(chan error, 1)
	go func() {
		ours, err := pg.d.Release(context.WithoutCancel(pg.Context()), []dialect.Claim{pgClaim(held)})
		if err == nil && !ours[0] {
			err = errors.New("not ours")
		}
		released <- err
	}()
	pg.awaitBlocked()
	next := pg.wait(held, w.Channel())
	pg.must(tx.Commit())
	pg.must(<-released)
	ctx, cancel := context.WithTimeout(pg.Context(), patience)
	defer cancel()
	h, err := w.Next(ctx)
	if err != nil || h.Owner != next.Owner || !guarded[0] {
		pg.Fatalf("%s: heard %+v, %v; want %q", before, h, err, next.Owner)
	}
	ours, err := pg.d.Release(pg.Context(), []dialect.Claim{pgClaim(next)})
	pg.must(err)
	if !ours[0] {
		pg.Fatalf("%s: the waiter's release was refused", before)
	}
}
