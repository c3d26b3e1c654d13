//go:build unix

package integration

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// lostTTL is the TTL of the runs in TestCLILost. A tenth of it is for the child, and it is told at
// least lostNotice before it is killed.
var lostTTL = long.Or(4*time.Second, 10*time.Second)

var lostNotice = lostTTL / 20

// lostFaults are the ways in which runs lose their locks.
var lostFaults = []struct {
	name string
	lose func(r *lostRound, t *testing.T)
	code int // the exit code of the runs
}{
	{"broken", (*lostRound).breakAll, 76},
	{"cut off", (*lostRound).cutOff, 76},
	{"frozen", (*lostRound).freeze, 76},
	{"killed", (*lostRound).kill, -1},
}

// TestCLILost has many children at work when their runs lose their locks at the same time. Each
// child is told, half of them ignore that, and all are gone before their leases have run out by the
// database's clock, which is this machine's. The child of a run that is killed is gone too, and was
// told nothing.
func TestCLILost(t *testing.T) {
	t.Parallel()
	c := buildSqllock(t)
	for _, engine := range servers.OneOfEachKind(t, append([]string{"sqlite"}, serverEngines...)...) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			r := &lostRound{command: c}
			if engine == "sqlite" {
				r.url = database(t, servers.Start(t, engine))
			} else {
				r.server = servers.Private(t, engine)
				r.url = r.server.URL
				prepare(t, r.url)
			}
			for _, fault := range lostFaults {
				if r.server == nil && fault.name == "cut off" || fault.name == "killed" && runtime.GOOS != "linux" {
					continue
				}
				var all lostFigures
				for range long.Or(1, 5) {
					r.start(t, long.Or(4, 20))
					fault.lose(r, t)
					r.check(t, fault.code, &all)
				}
				t.Logf("%s: %s", fault.name, &all)
			}
		})
	}
}

// lostRound is a number of runs that lose their locks at the same time.
type lostRound struct {
	command lockCommand
	server  *servers.Instance // nil for SQLite
	url     string

	n        int // of runs that were started, in all rounds
	proxy    *proxy
	target   *open.Database
	children []*lostChild
	stall    func() time.Duration
}

// lostChild is the child of a run. It has a pipe that no other process writes to.
type lostChild struct {
	*lockHolder
	lock       string
	told, gone time.Time     // when the test got to know: never earlier than it was so
	ready      chan struct{} // closed when the child works
	ended      chan struct{} // closed when it is gone
	lease      time.Time     // when its lease ends, by the database's clock; zero if it doesn't matter
}

// start starts n runs, every second one with a child that ignores SIGTERM, and waits until all
// children work.
func (r *lostRound) start(t *testing.T, n int) {
	t.Helper()
	url := r.url
	if r.server != nil {
		r.proxy, url = newProxy(t, r.url)
	}
	r.target, r.children = connect(t, r.url), nil
	for range n {
		r.n++
		child := &lostChild{
			lock: fmt.Sprint("lost", r.n), ready: make(chan struct{}), ended: make(chan struct{}),
		}
		events, input := fifo(t), fifo(t)
		go child.listen(events)
		then := "exit 0"
		if r.n%2 == 0 {
			then = ":"
		}
		child.lockHolder = r.command.start(t, url, fmt.Sprintf("%s --ttl %s", child.lock, lostTTL), fmt.Sprintf(
			"exec 3>%s 4<>%s; trap 'echo told >&3; %s' TERM; echo ready >&3; while :; do read line <&4; done",
			events, input, then))
		r.children = append(r.children, child)
	}
	for _, child := range r.children {
		child.await(t, child.ready, "works")
	}
	r.stall = watchOutage(t)
}

// fifo makes a named pipe. If its reader still waits for a writer when the test ends, it ends too.
func fifo(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			_ = f.Close()
		}
	})
	return path
}

// listen reads what the child writes, to its end.
func (c *lostChild) listen(path string) {
	defer close(c.ended)
	pipe, err := os.Open(path)
	if err != nil {
		return
	}
	defer pipe.Close()
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		switch {
		case lines.Text() == "ready":
			close(c.ready)
		case c.told.IsZero():
			c.told = time.Now()
		}
	}
	c.gone = time.Now()
}

func (c *lostChild) await(t *testing.T, event <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(stepTimeout):
		t.Fatalf("no child of %s %s after %s: %s", c.lock, what, stepTimeout, c.stderr)
	}
}

// leases notes when the children's leases end.
func (r *lostRound) leases(t *testing.T, of ...*lostChild) {
	t.Helper()
	keys := make([]dialect.Key, len(of))
	for i, child := range of {
		keys[i].Name = child.lock
	}
	rows, err := r.target.Dialect.Get(t.Context(), keys)
	if err != nil {
		t.Error(err)
		return
	}
	for i, row := range rows {
		if row.RenewedAt.IsZero() {
			t.Errorf("the lease of %q is gone", row.Name)
		}
		of[i].lease = row.RenewedAt.Add(row.TTL)
	}
}

// breakAll breaks the locks, as sqllock break does. A lease counts as it is then.
func (r *lostRound) breakAll(t *testing.T) {
	t.Helper()
	c := client(t, r.target, sqllock.Options{})
	var all sync.WaitGroup
	for _, child := range r.children {
		all.Go(func() {
			holders, err := c.Holders(t.Context(), child.lock)
			if err != nil || len(holders) != 1 {
				t.Errorf("%q has the holders %+v, %v", child.lock, holders, err)
				return
			}
			r.leases(t, child)
			if _, err := c.Break(t.Context(), child.lock, holders[0].Fence); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// cutOff drops everything between the runs and the server.
func (r *lostRound) cutOff(t *testing.T) {
	t.Helper()
	r.proxy.blackhole()
	r.awaitGone(t)
	r.leases(t, r.children...)
}

// freeze freezes the server or, with SQLite, takes the database's write lock. A heartbeat that was
// sent to the frozen server must not count when it goes on, so every lease has ended by then.
func (r *lostRound) freeze(t *testing.T) {
	t.Helper()
	var thaw func()
	if r.server != nil {
		r.server.Stop()
		thaw = r.server.Cont
	} else {
		tx, err := r.target.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		thaw = func() { _ = tx.Rollback() }
	}
	defer thaw()
	over := time.After(lostTTL)
	r.awaitGone(t)
	<-over
	thaw()
	r.leases(t, r.children...)
}

// kill kills the runs.
func (r *lostRound) kill(t *testing.T) {
	t.Helper()
	for _, child := range r.children {
		_ = child.Process.Kill()
	}
}

func (r *lostRound) awaitGone(t *testing.T) {
	t.Helper()
	for _, child := range r.children {
		child.await(t, child.ended, "is gone")
	}
}

// check waits for the end of the runs, and checks when their children were told and gone.
func (r *lostRound) check(t *testing.T, code int, all *lostFigures) {
	t.Helper()
	r.awaitGone(t)
	late := 2 * r.stall() // a stalled machine delays the run's timers, and what the test sees
	for _, child := range r.children {
		child.end(code)
		if child.lease.IsZero() {
			if all.n++; !child.told.IsZero() {
				t.Errorf("the child of a run that was killed was told at %s", child.told)
			}
			continue
		}
		if child.told.IsZero() && late > lostNotice { // the machine has stalled from the one to the other
			child.told = child.gone
		}
		told, gone := child.lease.Sub(child.told), child.lease.Sub(child.gone)
		all.add(told, gone)
		if child.told.IsZero() || told < -late || gone < -late {
			t.Errorf("%s: told %s and gone %s before its lease ran out, on a machine that stalls for %s: %s",
				child.lock, told, gone, late/2, child.stderr)
		}
	}
}

// lostFigures are for how long the leases still lasted when the children were told, and when they
// were gone.
type lostFigures struct {
	n          int
	told, gone []time.Duration
}

func (f *lostFigures) add(told, gone time.Duration) {
	f.n++
	f.told, f.gone = append(f.told, told), append(f.gone, gone)
}

func (f *lostFigures) String() string {
	if len(f.told) == 0 {
		return fmt.Sprintf("%d children are gone", f.n)
	}
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	slices.Sort(f.told)
	return fmt.Sprintf("%d children told %s to %s before their leases ran out, and gone %s before", f.n,
		ms(f.told[0]), ms(f.told[f.n-1]), ms(slices.Min(f.gone)))
}
