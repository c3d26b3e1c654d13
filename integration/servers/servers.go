package servers

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"
)

// Engines are the names that [Start] takes, in the order in which tests should run. Start also
// takes "postgres14" to "postgres19" if such a server is installed.
var Engines = []string{"sqlite", "postgres15", "postgres18", "mysql", "mariadb", "sqlserver"}

// installed names what tests need besides an engine and what can be had in one way only. "faketime"
// moves a server's clock, "systemd" checks units, "promtool" tests alert rules, and "chromium" is a
// browser.
var installed = []string{
	"pgbouncer", "pgbouncer-preparing", "faketime", groupReplication, "systemd", "docker", "promtool", "chromium",
}

// Server is a server that all tests of this process share. Tests must not change its settings;
// those that need to use [Private]. Its methods are safe for concurrent use.
type Server struct {
	Engine   string // the name that was passed to Start
	Provider string // where it came from: "env", "docker", "local", or "embedded" for SQLite

	engine *engine
	url    *url.URL               // of the database from which others are created; nil for SQLite
	log    func() ([]byte, error) // nil if its log can't be read
	stop   func()                 // nil if this process didn't start it
	spare  spare

	asked      sync.Once // guards the initialization of substitute and err
	substitute substitute
	err        error
}

// Start returns the shared server of that engine. The first call for an engine starts the server
// and blocks until it accepts connections, which takes seconds, or minutes if an image must be
// pulled. If there is no such server, the test is skipped, or fails if SQLLOCK_TEST_REQUIRE names
// the engine. The test is also skipped if it can't run on the product that stands in for the
// engine.
func Start(t testing.TB, engine string) *Server {
	t.Helper()
	running.see(t)
	s, err := resolve(engine)
	if err != nil {
		missing(t, engine, err)
	}
	s.Lacking(t)
	return s
}

// Each runs f as a parallel subtest for the engines that [OneOfEachKind] chooses, and the test
// itself beside others: it calls t.Parallel. All the servers start at once.
func Each(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	each(t, OneOfEachKind(t, Engines...), f)
}

// Every is like [Each] but runs f for all engines, in make test too. It is for what each engine has
// to prove by itself.
func Every(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	each(t, chosenEngines(t, Engines), f)
}

func each(t *testing.T, engines []string, f func(t *testing.T, s *Server)) {
	t.Helper()
	t.Parallel()
	for _, name := range engines {
		go func() { _, _ = resolve(name) }() // the subtest reports the error
	}
	for _, name := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, Start(t, name))
		})
	}
}

// Database creates an empty database and returns its URL in sqllock's format. When the test ends,
// the database is dropped, or emptied and given to another test under another name. The test must
// have ended its transactions by then. For SQLite the URL names a file that doesn't exist yet.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	running.see(t)
	if s.url == nil {
		return sqliteURL(t)
	}
	u := s.spare.take()
	if u == nil {
		var err error
		if u, err = s.engine.createDatabase(t.Context(), s.url); err != nil {
			t.Fatalf("%s (%s): %v", s.Engine, s.Provider, err)
		}
	}
	t.Cleanup(func() { s.takeBack(t, u) })
	return u.String()
}

// takeBack recycles a database that a test has used, or drops it. After a failed test it is
// dropped, since it may be in any state.
func (s *Server) takeBack(t testing.TB, u *url.URL) {
	t.Helper()
	if s.engine.recycle != nil && !t.Failed() {
		empty, err := s.engine.recycle(context.Background(), s.engine, s.url, u)
		if err == nil {
			s.spare.add(empty)
			return
		}
		t.Logf("%s (%s): the database is not recycled: %v", s.Engine, s.Provider, err)
		u = empty
	}
	if err := s.engine.dropDatabase(s.url, u); err != nil {
		t.Errorf("%s (%s): %v; has the test left a transaction open?", s.Engine, s.Provider, err)
	}
}

// end stops the server if this process started it. Otherwise it drops the databases that are still
// on it.
func (s *Server) end() {
	if s.stop != nil {
		s.stop()
		return
	}
	for u := s.spare.take(); u != nil; u = s.spare.take() {
		_ = s.engine.dropDatabase(s.url, u)
	}
}

// Log returns the server's log since it began to accept connections. It returns "" for SQLite,
// which has no log. The test is skipped if the server comes from the environment.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	if s.url == nil {
		return ""
	}
	if s.log == nil {
		skip(t, fmt.Sprintf("%s: the log of a server that SQLLOCK_TEST_*_URL names can't be read", s.Engine))
	}
	text, err := s.log()
	if err != nil {
		t.Fatalf("%s (%s): reading its log: %v", s.Engine, s.Provider, err)
	}
	return string(text)
}

// resolved has an entry for each engine that was ever requested.
var resolved = struct {
	sync.Mutex
	by map[string]func() (*Server, error)
}{by: map[string]func() (*Server, error){}}

func resolve(name string) (*Server, error) {
	resolved.Lock()
	once, ok := resolved.by[name]
	if !ok {
		once = sync.OnceValues(func() (*Server, error) { return provide(name) })
		resolved.by[name] = once
	}
	resolved.Unlock()
	return once()
}
