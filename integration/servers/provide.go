package servers

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// errAbsent is wrapped by the error of a provider that has no such server. After it the next
// provider is tried. Any other error ends the search: a URL that doesn't parse must not end in a
// test against another server.
var errAbsent = errors.New("not available")

type provider struct {
	name  string
	start func(*engine) (*Server, error)
}

var providers = []provider{{"env", fromEnv}, {"docker", startContainer}, {"local", startLocal}}

// provide tries the providers in turn.
func provide(name string) (*Server, error) {
	e, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if e.nodes > 0 {
		return nil, fmt.Errorf("%s is a cluster: a test has one of its own, by servers.Cluster", name)
	}
	if e.embedded {
		return &Server{Engine: name, Provider: "embedded", engine: e}, nil
	}
	use, err := chosen(os.Getenv("SQLLOCK_TEST_PROVIDER"))
	if err != nil {
		return nil, err
	}
	var tried []error
	for _, p := range use {
		s, err := p.start(e)
		switch {
		case err == nil:
			s.Engine, s.Provider, s.engine = name, p.name, e
			return s, nil
		case !errors.Is(err, errAbsent):
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		tried = append(tried, fmt.Errorf("%s: %w", p.name, err))
	}
	return nil, errors.Join(tried...)
}

func chosen(name string) ([]provider, error) {
	if name == "" {
		return providers, nil
	}
	i := slices.IndexFunc(providers, func(p provider) bool { return p.name == name })
	if i < 0 {
		return nil, fmt.Errorf(
			"SQLLOCK_TEST_PROVIDER is %q; it can be env, docker, local, or unset for the first that works", name)
	}
	return providers[i : i+1], nil
}

// fromEnv returns the server that the environment names. If that server doesn't respond, fromEnv
// returns an error: a test against another server would hide that this one wasn't tested.
func fromEnv(e *engine) (*Server, error) {
	key := e.env("URL")
	text := os.Getenv(key)
	if text == "" {
		return nil, fmt.Errorf("%w: %s is not set", errAbsent, key)
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s is not a URL", key) // url.Parse's error would show a password
	}
	// The error doesn't show the URL: without the two slashes the password may be anywhere in it.
	if u.Scheme != e.scheme || u.Host == "" {
		return nil, fmt.Errorf("%s must look like %s://user:password@host:port/database", key, e.scheme)
	}
	if err := e.ping(u); err != nil {
		return nil, fmt.Errorf("%s is %s: %w", key, u.Redacted(), err)
	}
	return &Server{url: u}, nil
}

// Missing ends the test because something that it needs besides an engine isn't available. The test
// is skipped with a line on stderr, or fails if SQLLOCK_TEST_REQUIRE names it. err says why.
func Missing(t testing.TB, name string, err error) {
	t.Helper()
	missing(t, name, fmt.Errorf("%w: %w", errAbsent, err))
}

// missing ends the test because there is no such server. err says why.
func missing(t testing.TB, name string, err error) {
	t.Helper()
	must, bad := required(os.Getenv("SQLLOCK_TEST_REQUIRE"), name)
	switch {
	case bad != nil:
		t.Fatal(bad)
	case must:
		t.Fatalf("SQLLOCK_TEST_REQUIRE names %s, which isn't available:\n%v", name, err)
	case !errors.Is(err, errAbsent):
		t.Fatalf("%s: %v", name, err)
	}
	otherwise := fmt.Sprintf(", or start Docker, or set SQLLOCK_TEST_%s_URL", strings.ToUpper(name))
	if slices.Contains(installed, name) {
		otherwise = ""
	}
	skip(t, fmt.Sprintf("%s is not tested: run make deps as root on Debian%s\n%v", name, otherwise, err))
}

var loud io.Writer = os.Stderr

// skip writes the reason to stderr too: without -v, go test shows nothing of a skipped test.
func skip(t testing.TB, why string) {
	t.Helper()
	fmt.Fprintf(loud, "SKIPPED %s: %s\n", t.Name(), why)
	t.Skip(why) //nolint:forbidigo // the only place that may skip: it has just written the reason to stderr
}

// required reports whether the list, in the format of SQLLOCK_TEST_REQUIRE, names the engine.
func required(list, name string) (bool, error) {
	if list == "" {
		return false, nil
	}
	if list == "all" {
		return true, nil
	}
	names := strings.Split(list, ",")
	for i, n := range names {
		names[i] = strings.TrimSpace(n)
		if _, err := lookup(names[i]); err != nil && !slices.Contains(installed, names[i]) {
			return false, fmt.Errorf("SQLLOCK_TEST_REQUIRE: %w", err)
		}
	}
	return slices.Contains(names, name), nil
}
