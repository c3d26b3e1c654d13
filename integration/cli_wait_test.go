//go:build unix

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// runCost is how much later than a program that has waited for a lock itself the child of a run
// that has waited may begin.
const runCost = 50 * time.Millisecond

// TestCLIWaitCost measures from when a waiter is granted the lock, by the database's clock, which
// is this machine's: until the waiter's Acquire has returned, and until the child of a run works.
// The wait itself is the Client's in both.
func TestCLIWaitCost(t *testing.T) {
	t.Parallel()
	c := buildSqllock(t)
	for _, engine := range servers.OneOfEachKind(t, append([]string{"sqlite"}, serverEngines...)...) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := &waitCost{T: t, command: c, url: database(t, servers.Start(t, engine))}
			w.target = connect(t, w.url)
			w.holder, w.waiter = client(t, w.target, sqllock.Options{}), client(t, connect(t, w.url), sqllock.Options{})
			stall := watchOutage(t)
			var bare, child []time.Duration
			for i := range long.Or(3, 30) {
				bare = append(bare, w.bare(fmt.Sprint("bare", i)))
				child = append(child, w.child(fmt.Sprint("child", i)))
			}
			slices.Sort(bare)
			slices.Sort(child)
			own, run := bare[len(bare)/2], child[len(child)/2]
			t.Logf("median of %d, after the grant: %s until Acquire has returned, %s until the child works", len(bare),
				own.Round(10*time.Microsecond), run.Round(10*time.Microsecond))
			if run-own > runCost+2*stall() { // a stalled machine delays the run, and what the test sees
				t.Errorf("a run begins %s later than a program of its own, want %s at most", run-own, runCost)
			}
		})
	}
}

// waitCost is a database in which waiters are granted locks.
type waitCost struct {
	*testing.T
	command        lockCommand
	url            string
	target         *open.Database
	holder, waiter *sqllock.Client
}

// granted returns when the lock was granted to its holder.
func (w *waitCost) granted(name string) time.Time {
	w.Helper()
	rows, err := w.target.Dialect.Get(w.Context(), []dialect.Key{{Name: name}})
	if err != nil || !rows[0].Held {
		w.Fatal(rows, err)
	}
	return rows[0].AcquiredAt
}

// bare waits for a lock as a program of its own does.
func (w *waitCost) bare(name string) time.Duration {
	w.Helper()
	held := mustTry(w.T, w.holder, name)
	waiting := make(chan struct{}, 1)
	go func() {
		<-waiting
		mustRelease(w.T, held)
	}()
	lock, err := w.waiter.Acquire(w.Context(), name, sqllock.OnWait(func(*sqllock.HeldError) {
		select {
		case waiting <- struct{}{}:
		default:
		}
	}))
	got := time.Now()
	if err != nil {
		w.Fatal(err)
	}
	defer mustRelease(w.T, lock)
	return got.Sub(w.granted(name))
}

// child waits for a lock in a run.
func (w *waitCost) child(name string) time.Duration {
	w.Helper()
	held := mustTry(w.T, w.holder, name)
	run := w.command.start(w.T, w.url, name, untilTold)
	await(w.T, "the run waits", stepTimeout, func() bool {
		return strings.Contains(run.stderr.String(), "waiting for")
	})
	mustRelease(w.T, held)
	run.line("ready")
	got := time.Now()
	took := got.Sub(w.granted(name))
	run.finish()
	return took
}
