//go:build unix

package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// The password of these tests. Each of its parts is found in any encoding, since letters are never
// encoded. What is between the parts separates the parts of a URL.
const (
	canaryHead = "CanaryHeadQ7"
	canaryTail = "CanaryTailX9"
	canary     = canaryHead + "@:/?#&%41 " + canaryTail
)

// leaks fails the test if text has a part of the password.
func leaks(t *testing.T, what, text string) {
	t.Helper()
	for _, part := range []string{canaryHead, canaryTail} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
			t.Errorf("%s shows a part of the password: %s", what, text)
		}
	}
}

// secretURLs are the ways to write one account and its password into a URL.
type secretURLs struct {
	good []string
	bad  map[string]string // by what is wrong
}

// eachSecret runs f for the engines that secretsOf knows, and for one more unless that is empty.
func eachSecret(t *testing.T, more string, f func(t *testing.T, s *servers.Server)) {
	t.Helper()
	engines := slices.Clone(serverEngines)
	if more != "" {
		engines = append(engines, more)
	}
	private(t, engines, func(t *testing.T, engine string) { f(t, servers.Start(t, engine)) })
}

// secretsOf creates an account that has the canary as its password, and returns URLs with it.
func secretsOf(t *testing.T, s *servers.Server) secretURLs {
	t.Helper()
	admin := database(t, s)
	if s.Engine == "sqlite" {
		// modernc.org/sqlite ignores parameters that it doesn't know, so sqllock refuses this one.
		with := "password=" + url.QueryEscape(canary)
		return secretURLs{
			good: []string{admin},
			bad: map[string]string{
				"parameter": admin + "&" + with, "scheme": strings.Replace(admin, "sqlite", "lite", 1) + "&" + with,
			},
		}
	}
	u := parsed(t, admin)
	name := "canary_" + strings.ToLower(rand.Text()[:10])
	target := connect(t, admin)
	create, drop := "CREATE ROLE "+name+" SUPERUSER LOGIN PASSWORD '"+canary+"'", "DROP ROLE "+name
	if target.Dialect.Name() == "mysql" {
		create, drop = "CREATE USER "+name+"@'%' IDENTIFIED BY '"+canary+"'", "DROP USER "+name+"@'%'"
	}
	execute(t, target, create)
	if target.Dialect.Name() == "mysql" {
		execute(t, target, "GRANT ALL ON *.* TO "+name+"@'%'")
	}
	t.Cleanup(func() { _, _ = target.DB.ExecContext(context.Background(), drop) })
	u.User = url.UserPassword(name, canary)
	urls := secretURLs{good: []string{u.String()}, bad: map[string]string{}}
	change := func(what string, f func(u *url.URL)) {
		other := *u
		f(&other)
		urls.bad[what] = other.String()
	}
	with := func(parameter string) func(u *url.URL) {
		return func(u *url.URL) {
			u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+parameter, "&")
		}
	}
	change("host", func(u *url.URL) { u.Host = "127.0.0.1:1" })
	change("name of a host", func(u *url.URL) { u.Host = "nosuch.invalid:1" })
	change("user", func(u *url.URL) { u.User = url.UserPassword("nosuch", canary) })
	change("database", func(u *url.URL) { u.Path = "/nosuch" })
	change("parameter", with("nosuch=1"))
	change("secret parameter", with("pass%77ord="+url.QueryEscape(canary)+"&x-nosuch=1"))
	change("scheme", func(u *url.URL) { u.Scheme = "nosuch" })
	raw := fmt.Sprintf("%s://%s:%s@%s%s?%s", u.Scheme, name, canary, u.Host, u.Path, u.RawQuery)
	urls.bad["encoding"] = raw
	urls.bad["port"] = strings.Replace(u.String(), u.Host, "127.0.0.1:port", 1)
	urls.bad["escape"] = strings.Replace(u.String(), canaryTail, "%zz"+canaryTail, 1)
	if target.Dialect.Name() == "postgres" {
		other := *u
		other.User = nil
		other.RawQuery += "&user=" + name + "&password=" + url.QueryEscape(canary)
		urls.good = append(urls.good, other.String())
	}
	return urls
}

// secretLines are command lines with which every command of a program is called. None of them
// waits.
var secretLines = map[string][]string{
	"sqllock": {
		"run a --note n -- true", "run a --nosuch -- true", "run a --ttl never -- true", "run a --session -- true",
		"ls", "ls --stuck 1s", "show a", "break a --force --fence 1", "wait a --free -w 100ms", "elect a --handover",
		"top --once", "doctor", "bench --for 10ms --goroutines 1", "bench --for x", "grants postgres --role reader",
		"guard-sql",
		"serve --listen nowhere", "serve --listen 192.0.2.1:1 --insecure", "completion bash", "help", "run --help",
		"--help", "--version", "--nosuch", "nosuch",
	},
	"sqllock-migrate": {
		"own up", "own status", "own version", "own up 1", "own goto 99", "own down x", "own force -2", "own drop",
		"status -path .", "version -path .", "up -path .", "goto 9 -path .", "down 1 -path .", "redo -path .",
		"repair -path .", "validate -path .", "unlock", "unlock --force", "force 1 -path .", "drop -path .",
		"up --lock lease -path .", "up --lock nosuch -path .", "up -path nosuch", "create x -dir made",
		"schema postgres",
		"completion bash", "help", "up --help", "--help", "--version", "--nosuch", "nosuch",
	},
}

// reachingLines are lines that end with exit code 69, and don't wait, if no server listens.
var reachingLines = []string{
	"run a --note n -- true", "run a --session -- true", "ls", "show a", "break a --force --fence 1",
	"wait a --free -w 100ms", "elect a --handover", "doctor",
}

var commandName = regexp.MustCompile(`(?m)^ {2}([a-z-]+) {2,}\S`)

// wantEveryCommand checks that secretLines has every command of a program.
func wantEveryCommand(t *testing.T, program, path string) {
	t.Helper()
	help, err := exec.Command(path, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(help), "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\nFlags:")
	names := commandName.FindAllStringSubmatch(list, -1)
	if len(names) < 10 {
		t.Fatalf("%s --help lists %d commands: %s", program, len(names), help)
	}
	for _, name := range names {
		if !slices.ContainsFunc(secretLines[program], func(line string) bool {
			return strings.HasPrefix(line+" ", name[1]+" ")
		}) {
			t.Errorf("secretLines has no line with the command %s %s", program, name[1])
		}
	}
}

// secretWays are the ways in which a command gets its URL. Each returns arguments and variables.
var secretWays = []func(t *testing.T, url string) (args, env []string){
	func(_ *testing.T, url string) (args, env []string) { return []string{"--database", url}, nil },
	func(_ *testing.T, url string) (args, env []string) {
		return nil, []string{"SQLLOCK_DATABASE_URL=" + url}
	},
	func(t *testing.T, url string) (args, env []string) {
		return nil, []string{"SQLLOCK_DATABASE_URL_FILE=" + secretFile(t, url)}
	},
	func(t *testing.T, url string) (args, env []string) {
		return []string{"--database-url-file", secretFile(t, url)}, nil
	},
	func(t *testing.T, url string) (args, env []string) {
		return []string{"--env", secretFile(t, "SQLLOCK_DATABASE_URL='"+url+"'")}, nil
	},
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestSecrets checks that no output of either command shows a part of the database's password,
// whatever goes wrong.
func TestSecrets(t *testing.T) {
	programs := map[string]string{"sqllock": sqllockBinary.path(t), "sqllock-migrate": migrateBinary.path(t)}
	for program, path := range programs {
		wantEveryCommand(t, program, path)
	}
	eachSecret(t, "sqlite", func(t *testing.T, s *servers.Server) {
		urls := secretsOf(t, s)
		dir := folder(t, map[string]string{
			"1_a.up.sql": "CREATE TABLE canary_a (n INTEGER)", "1_a.down.sql": "DROP TABLE canary_a",
			"2_b.up.sql": "CREATE nonsense",
		})
		n := 0
		for program, path := range programs {
			for _, line := range secretLines[program] {
				n++
				good := urls.good[n%len(urls.good)]
				runSecretly(t, dir, path, line, good, n)
				if t.Failed() {
					return
				}
				if help := strings.HasPrefix(line, "--") || strings.Contains(line, "help"); help {
					continue
				}
				for _, what := range slices.Sorted(maps.Keys(urls.bad)) {
					if n++; n%2 == 0 && !long.Enabled && what != "host" { // each of them with half of the lines
						continue
					}
					bad := urls.bad[what]
					code := runSecretly(t, dir, path, line, bad, n)
					if program == "sqllock" && what == "host" && slices.Contains(reachingLines, line) && code != 69 {
						t.Errorf("%s %s ends with %d although no server listens; want 69", program, line, code)
					}
				}
			}
		}
		t.Logf("%d command lines", n)
	})
}

// runSecretly runs a command line with a URL and one of the ways and formats, which n selects, and
// returns the exit code.
func runSecretly(t *testing.T, dir, path, line, url string, n int) int {
	t.Helper()
	args, env := secretWays[n%len(secretWays)](t, url)
	// Flags after "--" are the child's.
	before, after, child := strings.Cut(line, " -- ")
	args = append(strings.Fields(before), args...)
	args = append(args, [][]string{{"--json"}, {"--verbose"}, nil}[n%3]...)
	if child {
		args = append(append(args, "--"), strings.Fields(after)...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) || ctx.Err() != nil {
		t.Errorf("%s %s: %v: %s", filepath.Base(path), line, err, out)
	}
	leaks(t, filepath.Base(path)+" "+line, string(out))
	return cmd.ProcessState.ExitCode()
}

// TestSecretsOfRun checks what a child of run and elect can see, and what run says when its
// database goes away.
func TestSecretsOfRun(t *testing.T) {
	path := sqllockBinary.path(t)
	eachSecret(t, "", func(t *testing.T, s *servers.Server) {
		p, through := newProxy(t, secretsOf(t, s).good[0])
		for _, line := range []string{
			"run a --ttl 2s", "elect a --ttl 2s", "run b --ttl 2s --json", "run c --session",
		} {
			script := "cat /proc/self/environ /proc/$PPID/cmdline /proc/$PPID/environ; echo ready; " + path +
				" guard-sql; exec sleep 100"
			args := append(strings.Fields(line+" --verbose --database-url-file"),
				secretFile(t, through), "--", "sh", "-c", script)
			cmd := exec.Command(path, args...)
			out := &eventBuffer{wanted: "ready", seen: make(chan struct{})}
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stop := endHanging(cmd)
			select {
			case <-out.seen:
				p.blackhole()
			case <-time.After(stepTimeout):
				t.Errorf("%s: no child within %s: %s", line, stepTimeout, out)
				_ = cmd.Process.Kill()
			}
			if strings.HasPrefix(line, "elect") { // it would wait for the database, to lead again
				_ = cmd.Process.Signal(syscall.SIGTERM)
			}
			_ = cmd.Wait()
			stop()
			p.revive()
			leaks(t, line, out.String())
		}
	})
}

// eventBuffer keeps what is written to it, and closes seen when that contains wanted.
type eventBuffer struct {
	wanted string
	seen   chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

func (b *eventBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := strings.Contains(b.text.String(), b.wanted)
	b.text.Write(p)
	if !before && strings.Contains(b.text.String(), b.wanted) {
		close(b.seen)
	}
	return len(p), nil
}

func (b *eventBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

var pageURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)

// TestSecretsOfServe checks that neither the database's password nor those of the page's users are
// on a page or in the log of serve, also when the database goes away.
func TestSecretsOfServe(t *testing.T) {
	path := sqllockBinary.path(t)
	eachSecret(t, "", func(t *testing.T, s *servers.Server) {
		p, through := newProxy(t, secretsOf(t, s).good[0])
		cmd := exec.Command(path, "serve", "--listen", "127.0.0.1:0", "--verbose", "--refresh", "100ms", "--auth",
			"anna:"+secretFile(t, canary), "--breaker", "anna", "--database-url-file", secretFile(t, through))
		out := &eventBuffer{wanted: "http://", seen: make(chan struct{})}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer endHanging(cmd)()
		defer func() { _ = cmd.Process.Kill() }()
		select {
		case <-out.seen:
		case <-time.After(stepTimeout):
			t.Fatalf("serve doesn't listen within %s: %s", stepTimeout, out)
		}
		base := pageURL.FindString(out.String())
		pages := []string{
			"", "api/locks", "api/locks/a", "locks/a", "healthz", "metrics", "nosuch", "break?name=a&fence=1",
			"?q=%zz",
		}
		down := false
		for _, password := range []string{canary, "wrong" + canary, canary} {
			for _, page := range pages {
				status, text := fetchAs(t, base+page, password)
				leaks(t, fmt.Sprintf("the page /%s (%d, database down: %t)", page, status, down), text)
				if page == "" && password == canary && status != http.StatusOK && !down {
					t.Errorf("the page answers %d: %s", status, text)
				}
			}
			if strings.HasPrefix(password, "wrong") {
				_ = p.listener.Close()
				p.closeAll()
				down = true
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
		leaks(t, "the log of serve", out.String())
	})
}

// fetchAs returns a page with its headers.
func fetchAs(t *testing.T, url, password string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("anna", password)
	response, err := (&http.Client{Timeout: stepTimeout}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, fmt.Sprint(response.Header) + string(body)
}

// TestSecretsOfLibrary checks that neither an error nor a log of the packages shows a part of the
// password, in any form.
func TestSecretsOfLibrary(t *testing.T) {
	eachSecret(t, "sqlite", func(t *testing.T, s *servers.Server) {
		urls := secretsOf(t, s)
		for what, bad := range urls.bad {
			for _, err := range libraryErrors(t, bad, nil) {
				leaks(t, "a wrong "+what, fmt.Sprintf("%v %+v %#v", err, err, err))
			}
		}
		if s.Engine == "sqlite" {
			return
		}
		p, through := newProxy(t, urls.good[0])
		for _, err := range libraryErrors(t, through, p) {
			leaks(t, "a database that goes away", fmt.Sprintf("%v %+v %#v", err, err, err))
		}
	})
}

// libraryErrors does what a program does with a URL, and returns the errors. Midway p, unless it is
// nil, closes its connections and accepts no more.
func libraryErrors(t *testing.T, url string, p *proxy) (errs []error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
	defer func() { leaks(t, "the log", log.String()) }()
	_, err := open.Missing(url)
	errs = append(errs, err)
	if engine, err := open.Migrations(url); err == nil {
		_, err = engine.Parse(url)
		errs = append(errs, err)
	}
	target, err := open.URL(url)
	if errs = append(errs, err); err != nil {
		return errs
	}
	defer target.DB.Close()
	errs = append(errs, migrations.Up(ctx, target.DB, target.Migrations))
	c, err := sqllock.New(ctx, target.Dialect, &sqllock.Options{Logger: logger, TTL: time.Second})
	if errs = append(errs, err); err != nil {
		return errs
	}
	_, err = c.Acquire(ctx, "a")
	errs = append(errs, err)
	if p != nil {
		_ = p.listener.Close()
		p.closeAll()
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err = c.Acquire(short, "b")
	errs = append(errs, err, migrations.Up(short, target.DB, target.Migrations), c.Healthy(short), c.Close(short))
	_, err = c.Check(short)
	return append(errs, err)
}
