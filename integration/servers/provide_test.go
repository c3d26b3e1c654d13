package servers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestURLFromEnvironment(t *testing.T) {
	const key = "SQLLOCK_TEST_POSTGRES15_URL"
	shared := Start(t, "postgres15")
	e, err := lookup("postgres15")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(key, "")
	if _, err := fromEnv(e); !errors.Is(err, errAbsent) {
		t.Errorf("without a URL: %v", err)
	}
	for _, bad := range []string{
		"postgres://u:secret@%zz/", "mysql://u:secret@127.0.0.1:1/x",
		"postgres:u:secret", "postgres://u:secret@127.0.0.1:1/x",
	} {
		t.Setenv(key, bad)
		s, err := provide("postgres15")
		if err == nil {
			t.Errorf("%s: got %v, want an error", bad, s)
			continue
		}
		if errors.Is(err, errAbsent) {
			t.Errorf("%s: a bad URL must not lead to another server: %v", bad, err)
		}
		if !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error must name the variable, and no password: %v", bad, err)
		}
	}
	t.Setenv(key, shared.url.String())
	s, err := provide("postgres15")
	if err != nil || s.Provider != "env" {
		t.Fatalf("with a good URL: %+v, %v", s, err)
	}
	execAt(t, e, s.Database(t), "CREATE TABLE things (id int)")
}

func TestProviderForced(t *testing.T) {
	t.Setenv("SQLLOCK_TEST_PROVIDER", "env")
	s, err := provide("mysql")
	if !errors.Is(err, errAbsent) || !strings.Contains(err.Error(), "SQLLOCK_TEST_MYSQL_URL") {
		t.Errorf("env without a URL: %v, %v", s, err)
	}
	t.Setenv("SQLLOCK_TEST_PROVIDER", "docker")
	t.Setenv("SQLLOCK_TEST_MYSQL_IMAGE", "sqllock-test.invalid/nosuchimage:1")
	if s, err := provide("mysql"); !errors.Is(err, errAbsent) || strings.Contains(err.Error(), "local:") {
		t.Errorf("docker without an image, or without an engine: %v, %v", s, err)
	}
	t.Setenv("SQLLOCK_TEST_PROVIDER", "podman")
	s, err = provide("mysql")
	if err == nil || errors.Is(err, errAbsent) || !strings.Contains(err.Error(), `"podman"`) {
		t.Errorf("podman: %v, %v", s, err)
	}
}

func TestUnknownEngine(t *testing.T) {
	for _, name := range []string{"", "oracle", "postgres", "postgres9", "Postgres15"} {
		if s, err := provide(name); err == nil || errors.Is(err, errAbsent) {
			t.Errorf("%q: %v, %v", name, s, err)
		}
	}
}

func TestMissing(t *testing.T) {
	defer func(was io.Writer) { loud = was }(loud)
	absent := fmt.Errorf("%w: nothing here", errAbsent)
	for _, c := range []struct {
		require string
		err     error
		want    string
	}{
		{"", absent, "skip"},
		{"mysql", absent, "skip"},
		{"mysql, mariadb", absent, "fatal"},
		{"all", absent, "fatal"},
		{"mysqll", absent, "fatal"},
		{"pgbouncer", absent, "skip"},
		{"pgbouncer, mariadb", absent, "fatal"},
		{"pgbouncer-preparing", absent, "skip"},
		{"", errors.New("a bad URL"), "fatal"},
	} {
		t.Setenv("SQLLOCK_TEST_REQUIRE", c.require)
		tb := &recorder{TB: t}
		var stderr bytes.Buffer
		loud = &stderr
		done := make(chan struct{})
		go func() {
			defer close(done)
			missing(tb, "mariadb", c.err)
		}()
		if <-done; tb.outcome != c.want {
			t.Errorf("SQLLOCK_TEST_REQUIRE=%q, %v: %s, want %s", c.require, c.err, tb.outcome, c.want)
		}
		if skipped := strings.Contains(stderr.String(), "SKIPPED TestMissing: mariadb"); skipped != (c.want == "skip") {
			t.Errorf("SQLLOCK_TEST_REQUIRE=%q, %v: stderr has %q", c.require, c.err, &stderr)
		}
	}
}

// recorder is a test that records how it ended.
type recorder struct {
	testing.TB
	outcome string
}

func (r *recorder) end(outcome string) {
	r.outcome = outcome
	runtime.Goexit()
}

func (r *recorder) Skip(...any)           { r.end("skip") }
func (r *recorder) Fatal(...any)          { r.end("fatal") }
func (r *recorder) Fatalf(string, ...any) { r.end("fatal") }
