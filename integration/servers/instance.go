package servers

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// Instance is a server that belongs to one test, which can kill it, stop it and start it again. Its
// methods are safe for concurrent use. Methods that don't take a test may be called from any
// goroutine; if one fails, the test fails. The server ends with the test.
type Instance struct {
	URL string // of an empty database on it

	t     testing.TB
	mu    sync.Mutex // held by Kill, Restart, Stop and Cont
	local *local
}

// Option is a setting for [Private].
type Option func(*local)

// Durable makes each commit wait until the data is on disk, as in production. Without it, a server
// that was killed still has every commit when it is started again; only a crash of the machine
// would lose commits.
func Durable() Option { return func(l *local) { l.durable = true } }

// Args adds arguments to the server's command line.
func Args(args ...string) Option { return func(l *local) { l.args = append(l.args, args...) } }

// Private starts a server that no other test uses, from binaries installed on this machine, and
// blocks until it accepts connections. If there are no binaries, the test is skipped, or fails if
// SQLLOCK_TEST_REQUIRE names the engine. SQLite has no server: asking for one fails the test.
func Private(t testing.TB, engine string, options ...Option) *Instance {
	t.Helper()
	running.see(t)
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

// attach stops the server and removes its files when the test ends.
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

// Restart starts a killed server again, with the same data and on the same port, and blocks until
// it accepts connections. If the server still runs, Restart kills it first.
func (i *Instance) Restart() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.local.process.kill()
	if err := i.local.start(); err != nil {
		i.t.Errorf("starting again: %v", err)
	}
}

// Stop freezes the whole server (SIGSTOP): connections stay open, and nothing responds until Cont.
func (i *Instance) Stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.local.process.stop(); err != nil {
		i.t.Errorf("stopping %s: %v", i.local.engine.name, err)
	}
}

// Cont resumes a stopped server (SIGCONT).
func (i *Instance) Cont() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.local.process.cont()
}

// Exec runs statements as the server's administrator.
func (i *Instance) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := i.local.engine.exec(t.Context(), i.local.root, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Log returns the path of the server's log, which continues across restarts.
func (i *Instance) Log() string { return i.local.logPath() }

// Addr returns the host and port on which the server listens.
func (i *Instance) Addr() string { return fmt.Sprintf("127.0.0.1:%d", i.local.port) }
