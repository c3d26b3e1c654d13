package servers

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// PgBouncer starts a pooler before the PostgreSQL database of that URL and answers once it takes connections. Its URL is
// the same database through the pooler. Without settings ("pool_mode=session") it is in transaction mode. It ends with
// the test. Where PgBouncer isn't installed the test is skipped, or fails if SQLLOCK_TEST_REQUIRE names pgbouncer.
func PgBouncer(t testing.TB, server string, settings ...string) *Instance {
	t.Helper()
	bin, err := inPath("pgbouncer")
	if err != nil {
		missing(t, "pgbouncer", err)
	}
	behind, err := url.Parse(server)
	if err != nil {
		t.Fatal("servers.PgBouncer: not a URL")
	}
	dir, err := newDir("pgbouncer")
	if err != nil {
		missing(t, "pgbouncer", err)
	}
	e := postgres("")
	e.name = "pgbouncer"
	e.rootURL = func(host string, port int) *url.URL {
		u := *behind
		u.Host = net.JoinHostPort(host, strconv.Itoa(port))
		query := u.Query()
		query.Set("default_query_exec_mode", "exec") // up to 1.20 it lets no prepared statement through in transaction mode
		u.RawQuery = query.Encode()
		return &u
	}
	l, err := launchOn(e, &program{ready: "process up", command: func(dir string, port int, _ bool) []string {
		file := filepath.Join(dir, "pgbouncer.ini")
		return []string{
			"/bin/sh", "-c", `printf %s "$1" >"$2" && exec "$0" "$2"`, bin, pgbouncerConfig(behind, port, settings), file,
		}
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
		fmt.Sprintf("%s = host=%s port=%s user=%s password='%s'", strings.TrimPrefix(behind.Path, "/"), behind.Hostname(),
			behind.Port(), behind.User.Username(), password),
		"[pgbouncer]", "listen_addr=127.0.0.1", fmt.Sprintf("listen_port=%d", port), "unix_socket_dir=",
		"auth_type=any", "pool_mode=transaction", "default_pool_size=30", "max_client_conn=500",
	}
	return strings.Join(append(lines, settings...), "\n") + "\n"
}
