package servers

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// PgBouncer starts a pooler in front of the PostgreSQL database of that URL, and blocks until it
// accepts connections. The instance's URL is the same database through the pooler. Without settings
// such as "pool_mode=session" the pooler is in transaction mode. It ends with the test. It doesn't
// keep prepared statements, and so stands for the poolers that don't. If PgBouncer isn't installed,
// the test is skipped, or fails if SQLLOCK_TEST_REQUIRE names pgbouncer.
func PgBouncer(t testing.TB, server string, settings ...string) *Instance {
	t.Helper()
	bin, err := inPath("pgbouncer")
	if err != nil {
		missing(t, "pgbouncer", err)
	}
	version, err := output(bin, "--version")
	if err != nil {
		t.Fatal(err)
	}
	if preparing(version) {
		settings = append([]string{"max_prepared_statements=0"}, settings...)
	}
	return startPgBouncer(t, "pgbouncer", []string{bin}, server, settings)
}

// PgBouncerPreparing is like [PgBouncer], with a version that keeps its clients' prepared
// statements in transaction mode. SQLLOCK_TEST_REQUIRE knows it as pgbouncer-preparing.
func PgBouncerPreparing(t testing.TB, server string, settings ...string) *Instance {
	t.Helper()
	command, err := findPreparing()
	if err != nil {
		missing(t, "pgbouncer-preparing", err)
	}
	settings = append([]string{"max_prepared_statements=200"}, settings...)
	return startPgBouncer(t, "pgbouncer-preparing", command, server, settings)
}

// findPreparing returns the PgBouncer that make deps unpacked, which runs with the libc beside it,
// or otherwise an installed one.
func findPreparing() ([]string, error) {
	var commands [][]string
	for _, cache := range cacheDirs() {
		root := filepath.Join(cache, "pgbouncer-preparing")
		loaders, _ := filepath.Glob(filepath.Join(root, "usr", "lib", "*-linux-gnu*", "ld-linux-*.so.*"))
		if len(loaders) > 0 {
			commands = append(commands, []string{
				loaders[0], "--library-path", filepath.Dir(loaders[0]), filepath.Join(root, "usr", "sbin", "pgbouncer"),
			})
		}
	}
	if bin, err := inPath("pgbouncer"); err == nil {
		commands = append(commands, []string{bin})
	}
	for _, command := range commands {
		version, err := output(command[0], append(slices.Clip(command[1:]), "--version")...)
		if err == nil && preparing(version) {
			return command, nil
		}
	}
	return nil, fmt.Errorf("%w: no PgBouncer 1.21 or later in %q or PATH", errAbsent, cacheDirs())
}

// preparing reports whether a version such as "PgBouncer 1.24.1" can keep prepared statements.
func preparing(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "PgBouncer %d.%d", &major, &minor)
	return err == nil && (major > 1 || minor >= 21)
}

func startPgBouncer(t testing.TB, name string, bin []string, server string, settings []string) *Instance {
	t.Helper()
	behind, err := url.Parse(server)
	if err != nil {
		t.Fatal("servers.PgBouncer: not a URL")
	}
	dir, err := newDir(name)
	if err != nil {
		missing(t, name, err)
	}
	e := postgres("")
	e.name = name
	e.rootURL = func(host string, port int) *url.URL {
		u := *behind
		u.Host = net.JoinHostPort(host, strconv.Itoa(port))
		return &u
	}
	l, err := launchOn(e, &program{ready: "process up", command: func(dir string, port int, _ bool) []string {
		file := filepath.Join(dir, "pgbouncer.ini")
		write := []string{
			"/bin/sh", "-c", `printf %s "$0" >"$1" && file=$1 && shift && exec "$@" "$file"`,
			pgbouncerConfig(behind, port, settings), file,
		}
		return append(write, bin...)
	}}, dir, local{})
	if err != nil {
		t.Fatal(err)
	}
	i := attach(t, l)
	i.URL = l.root.String()
	return i
}

func pgbouncerConfig(behind *url.URL, port int, settings []string) string {
	password, _ := behind.User.Password()
	lines := []string{
		"[databases]",
		fmt.Sprintf("%s = host=%s port=%s user=%s password='%s'",
			strings.TrimPrefix(behind.Path, "/"), behind.Hostname(),
			behind.Port(), behind.User.Username(), password),
		"[pgbouncer]", "listen_addr=127.0.0.1", fmt.Sprintf("listen_port=%d", port), "unix_socket_dir=",
		"auth_type=any", "pool_mode=transaction", "default_pool_size=30", "max_client_conn=500",
	}
	return strings.Join(append(lines, settings...), "\n") + "\n"
}
