package servers

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
)

// Engines are the names that Start takes, in the order in which tests should run. Start takes "postgres14" to
// "postgres19" too, if such a server is installed.
var Engines = []string{"sqlite", "postgres15", "postgres18", "mysql", "mariadb", "sqlserver"}

// installed are servers that tests start beside those of an engine, and that are had in one way only.
var installed = []string{"pgbouncer"}

// Server is a server that all tests of this process share: leave its settings alone, or use Private.
// Its methods are safe for concurrent use.
type Server struct {
	Engine   string // the name that Start was given
	Provider string // how it was had: "env", "docker", "local", or "embedded" for SQLite

	engine *engine
	url    *url.URL               // a database to connect to for making others; nil for SQLite
	log    func() ([]byte, error) // nil where its log can't be read
	stop   func()                 // nil where it isn't ours to stop

	asked   sync.Once // what it is
	standIn standIn
	err     error
}

// Start answers the shared server of that engine. The first call for an engine starts it and blocks until it takes
// connections (seconds; minutes if an image must be pulled). Without such a server the test is skipped, or fails if
// SQLLOCK_TEST_REQUIRE names it. It is skipped, too, if it is one that the server at hand can't be tested with.
func Start(t testing.TB, engine string) *Server {
	t.Helper()
	s, err := resolve(engine)
	if err != nil {
		missing(t, engine, err)
	}
	s.Lacking(t)
	return s
}

// Each runs f as a parallel subtest for every engine. All the servers start at once.
func Each(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	for _, name := range Engines {
		go func() { _, _ = resolve(name) }() // the subtest sees the error
	}
	for _, name := range Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, Start(t, name))
		})
	}
}

// Database makes an empty database and answers its URL, as sqllock takes it. It is dropped when the test ends, by
// which time the test must have ended its transactions. For SQLite it is a file that doesn't exist yet.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	if s.url == nil {
		return sqliteURL(t)
	}
	u, err := s.engine.createDatabase(t.Context(), s.url)
	if err != nil {
		t.Fatalf("%s (%s): %v", s.Engine, s.Provider, err)
	}
	t.Cleanup(func() {
		if err := s.engine.dropDatabase(s.url, u); err != nil {
			t.Errorf("%s (%s): %v; has the test left a transaction open?", s.Engine, s.Provider, err)
		}
	})
	return u.String()
}

// Log is the server's log since it took connections. SQLite keeps none: its log is empty. A test that needs the log
// of a server that came from the environment is skipped.
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

// resolved has an entry for each engine that was ever asked for.
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
