package servers

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
)

// hangAfter is for how long no test may begin or end before the running tests are reported as
// hanging. It is several times what the slowest test takes on a busy machine with a slow disk.
var hangAfter = long.Or(3*time.Minute, 12*time.Minute)

// running has the tests that have asked for a server and have not ended yet.
var running = &testWatch{since: make(map[string]time.Time), hung: func(text string) {
	debug.SetTraceback("all")
	panic(text) // only a panic ends a test that hangs
}}

// testWatch finds tests that hang. The timeout of go test would end the run too, but only after the
// time that it allows for all tests together, and it can't tell a run that hangs from one that is
// merely slow.
type testWatch struct {
	hung func(text string)

	mu    sync.Mutex // guards the fields below
	since map[string]time.Time
	timer *time.Timer
}

// see records that the test runs, until it and all its cleanups have ended.
func (w *testWatch) see(t testing.TB) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := t.Name()
	if _, ok := w.since[name]; ok {
		return
	}
	w.since[name] = time.Now()
	w.progress()
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.since, name)
		w.progress()
	})
}

// Progress says that a test which takes longer than the limit against hangs does not hang. It must
// have asked for a server.
func Progress() {
	running.mu.Lock()
	defer running.mu.Unlock()
	running.progress()
}

// progress restarts the timer. The caller holds w.mu.
func (w *testWatch) progress() {
	if w.timer == nil {
		w.timer = time.AfterFunc(hangAfter, w.report)
		return
	}
	w.timer.Reset(hangAfter)
}

// report names the tests that run, except for those that wait for their subtests.
func (w *testWatch) report() {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := slices.Sorted(maps.Keys(w.since))
	var hang []string
	for i, name := range names {
		if i+1 == len(names) || !strings.HasPrefix(names[i+1], name+"/") {
			hang = append(hang, fmt.Sprintf("%s (for %s)", name, time.Since(w.since[name]).Round(time.Second)))
		}
	}
	if len(hang) > 0 {
		w.hung(fmt.Sprintf("no test has begun or ended for %s; these hang: %s",
			hangAfter, strings.Join(hang, ", ")))
	}
}
