package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// TestHeartbeatAmongWriters checks that heartbeats get their turn among twenty connections that
// write all the time, each for as long as a commit takes on a slow disk. If a heartbeat waited as
// they do, some fifteen of them would write before it. It was two when this was written, and five
// on a busy machine.
func TestHeartbeatAmongWriters(t *testing.T) {
	t.Parallel()
	const writers, heartbeats, average, commit = 20, 40, 9, 10 * time.Millisecond
	path := filepath.Join(t.TempDir(), "locks.db")
	db := open(t, path)
	migrate(t, db)
	d := New(db)
	must(t, d.CreateLease(t.Context(), dialect.Lease{ID: "lease", TTL: time.Hour}))
	ctx, stop := context.WithCancel(t.Context())
	var written atomic.Int64
	var others sync.WaitGroup
	defer others.Wait()
	defer stop()
	for range writers {
		other := New(open(t, path))
		others.Go(func() {
			for ctx.Err() == nil {
				err := other.asWriter(ctx, func(tx *sql.Tx) error {
					time.Sleep(commit)
					written.Add(1)
					return tx.Commit()
				})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond) // until the next one
			}
		})
	}
	var waited int64
	for range heartbeats {
		time.Sleep(3 * commit) // until others write again
		before := written.Load()
		renewed, err := d.RenewLeases(ctx, []string{"lease"})
		if err != nil || !renewed[0] {
			t.Fatal(renewed, err)
		}
		waited += written.Load() - before
	}
	if waited > heartbeats*average {
		t.Errorf("%d others wrote before %d heartbeats; want %d at most", waited, heartbeats, heartbeats*average)
	}
	t.Logf("%d others wrote before %d heartbeats", waited, heartbeats)
}

// TestHeartbeatBesideAWriter checks that heartbeats get their turn beside a connection that writes
// in a loop, and leaves the write lock free for moments only. With SQLite's own waiting, which
// tries ten times a second, each takes some two thousand turns of the loop.
func TestHeartbeatBesideAWriter(t *testing.T) {
	t.Parallel()
	const beats, holds, most = 10, 5 * time.Millisecond, 300
	path := filepath.Join(t.TempDir(), "locks.db")
	db, writer := open(t, path), open(t, path)
	migrate(t, db)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE busy (n INTEGER)")
	must(t, err)
	d := New(db)
	must(t, d.CreateLease(t.Context(), dialect.Lease{ID: "lease", TTL: time.Hour}))
	began, stop, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	turns := 0
	go func() {
		defer close(done)
		for ; ; turns++ {
			err := inTx(context.Background(), writer, func(tx *sql.Tx) error {
				if turns == 0 {
					close(began)
				}
				// A timer would end together with those of the heartbeats on an idle machine.
				for start, d := time.Now(), rand.N(2*holds); time.Since(start) < d; {
					runtime.Gosched()
				}
				_, err := tx.ExecContext(context.Background(), "INSERT INTO busy VALUES (1)")
				return errors.Join(err, tx.Commit())
			})
			select {
			case <-stop:
				return
			default:
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	<-began
	for range beats {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if alive, err := d.RenewLeases(ctx, []string{"lease"}); err != nil || !alive[0] {
			t.Errorf("%v, %v", alive, err)
		}
		cancel()
	}
	close(stop)
	<-done
	t.Logf("%d heartbeats beside %d writes", beats, turns)
	if turns > beats*most {
		t.Errorf("%d heartbeats took as long as %d writes of %s; want %d at most", beats, turns, holds, beats*most)
	}
}
