package integration

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// writesFor is longer than SQLite (busy_timeout) and a Client wait for one reply, which is 5 s.
const writesFor = 7 * time.Second

var _ = handle("keepWriting", (*worker).keepWriting)

// keepWriting holds the file's write lock for that long.
func (w *worker) keepWriting(ctx context.Context, d time.Duration) (any, error) {
	tx, err := w.target.DB.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "CREATE TABLE scratch (n INTEGER)"); err != nil {
		return nil, err
	}
	w.event("writing", nil)
	time.Sleep(d)
	return nil, tx.Commit()
}

// TestLockedFile lets another process write to an SQLite file for longer than one reply may take. A
// caller whose ctx lasts longer waits for it.
func TestLockedFile(t *testing.T) {
	t.Parallel()
	url := servers.Start(t, "sqlite").Database(t)
	prepare(t, url)
	c := client(t, connect(t, url), sqllock.Options{})
	writing := make(chan struct{}, 1)
	other := start(t, setup{URL: url, ReapEvery: -1}, func(m message) {
		if m.Event == "writing" {
			writing <- struct{}{}
		}
	})
	written, err := other.send("keepWriting", writesFor)
	if err != nil {
		t.Fatal(err)
	}
	<-writing
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	calls := map[string]func() error{
		"New": func() error {
			c, err := sqllock.New(ctx, connect(t, url).Dialect, &sqllock.Options{ReapEvery: -1})
			if err != nil {
				return err
			}
			return c.Close(ctx)
		},
		"Acquire":        func() error { _, err := c.Acquire(ctx, "a"); return err },
		"Acquire shared": func() error { _, err := c.RWLock("b").AcquireShared(ctx); return err },
		"Acquire fair": func() error {
			_, err := c.Acquire(ctx, "c", sqllock.Fair(), sqllock.WithTTL(time.Second))
			return err
		},
		"AcquireAll": func() error { _, err := c.AcquireAll(ctx, []string{"d", "e"}); return err },
		"Reap":       func() error { _, err := c.Reap(ctx); return err },
		"Check": func() error {
			findings, err := c.Check(ctx)
			for _, f := range findings {
				if f.Verdict == sqllock.VerdictBad {
					err = fmt.Errorf("%s: %s", f.What, f.Found)
				}
			}
			return err
		},
	}
	var group sync.WaitGroup
	for what, call := range calls {
		group.Go(func() {
			began := time.Now()
			if err := call(); err != nil {
				t.Errorf("%s: %v after %s", what, err, time.Since(began).Round(time.Millisecond))
			}
		})
	}
	if _, err := receive[any](other, "keepWriting", written, stepTimeout); err != nil {
		t.Error(err)
	}
	group.Wait()
}
