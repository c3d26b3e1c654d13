package servers

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// Instance is a server of a test's own, to be killed, stopped and started again. Its methods are safe for concurrent
// use and, but for those that take a test, may be called from any goroutine: where one fails, the test fails. The
// server ends with the test.
type Instance struct {
	URL string // an empty database on it

	t     testing.TB
	mu    sync.Mutex // one of Kill, Restart, Stop and Cont at a time
	local *local
}

// Option is a setting of Private.
type Option func(*local)

// Durable makes each commit wait until the disk has it, as in production. Without it a killed server still has every
// commit when it is started again: only the machine's crash would lose them.
func Durable() Option { return func(l *local) { l.durable = true } }

// Args are arguments for the server's command line, beside those that it has anyway.
func Args(args ...string) Option { return func(l *local) { l.args = append(l.args, args...) } }

// Private starts a server that no other test uses, from binaries installed on this machine, and blocks until it takes
// connections. Where there are none the test is skipped, or fails if SQLLOCK_TEST_REQUIRE names the engine.
// SQLite has no server: asking for one fails the test.
func Private(t testing.TB, engine string, options ...Option) *Instance {
	t.Helper()
	e, err := lookup(engine)
	if err != nil {
		t.Fatal(err)
	}
	if e.nodes > 0 {
		t.Fatalf("servers.Private: %s is a cluster: see Cluster", engine)
	}
	if e.embedded {
		t.Fatalf("servers.Private: %s runs inside the test's process: there is no server to kill or stop", engine)
	}
	var wanted local
	for _, option := range options {
		option(&wanted)
	}
	l, err := launch(e, wanted)
	if err != nil {
		missing(t, engine, err)
	}
	i := attach(t, l)
	u, err := e.createDatabase(t.Context(), l.root)
	if err != nil {
		t.Fatal(err)
	}
	i.URL = u.String()
	return i
}

// attach ties the server's life to the test's.
func attach(t testing.TB, l *local) *Instance {
	t.Cleanup(func() {
		l.process.kill()
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", l.engine.name, tail(l.logPath(), 40))
		}
		_ = os.RemoveAll(l.dir)
	})
	return &Instance{t: t, local: l}
}

// Kill ends the whole server at once, as kill -9 does.
func (i *Instance) Kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.local.process.kill()
}

// Restart starts a killed server again with the same data on the same port, and blocks until it takes connections.
// One that still runs is killed first.
func (i *Instance) Restart() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.local.process.kill()
	if err := i.local.start(); err != nil {
		i.t.Errorf("starting again: %v", err)
	}
}

// Stop freezes the whole server (SIGSTOP): connections stay open, and nothing answers until Cont.
func (i *Instance) Stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.local.process.stop(); err != nil {
		i.t.Errorf("stopping %s: %v", i.local.engine.name, err)
	}
}

// Cont lets a stopped server go on (SIGCONT).
func (i *Instance) Cont() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.local.process.cont()
}

// Log is the path of the server's log, which goes on across restarts.
func (i *Instance) Log() string { return i.local.logPath() }

// Addr is where the server listens: host and port.
func (i *Instance) Addr() string { return fmt.Sprintf("127.0.0.1:%d", i.local.port) }
