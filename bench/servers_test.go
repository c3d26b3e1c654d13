package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// target is a server on which contenders lock.
type target struct {
	name     string
	url      string
	instance *servers.Instance // nil for SQLite, which has no process
	about    string            // the server's version and the settings that affect the cost of a commit
	count    func(ctx context.Context) (counts, error)
}

// counts is what a server has executed so far, without the benchmark's own statements.
type counts struct{ statements, rows float64 }

func (c counts) since(before counts) counts {
	return counts{c.statements - before.statements, c.rows - before.rows}
}

// startServers starts the wanted servers that are installed. It prints the names of the others,
// since their rows will be missing.
func startServers(t *testing.T, wanted []string) map[string]*target {
	t.Helper()
	targets := make(map[string]*target)
	for _, name := range wanted {
		start, ok := starters[name]
		if !ok {
			t.Fatalf("there is no server %q", name)
		}
		if err := servers.Installed(start.program); err != nil {
			fmt.Fprintf(os.Stderr, "NOT MEASURED: %s: %v; make bench-deps installs it\n", name, err)
			continue
		}
		s := start.run(t)
		s.name = name
		targets[name] = s
		t.Logf("%s: %s", name, s.about)
	}
	return targets
}

var starters = map[string]struct {
	program string
	run     func(t *testing.T) *target
}{
	"postgres15": {"postgres15", runPostgres},
	"mysql":      {"mysql", func(t *testing.T) *target { return runMySQL(t, "mysql") }},
	"mariadb":    {"mariadb", func(t *testing.T) *target { return runMySQL(t, "mariadb") }},
	"sqlite":     {"sqlite", runSQLite},
	"redis":      {"redis-server", func(t *testing.T) *target { return runRedis(t, "--appendonly", "no") }},
	"redis-fsync": {"redis-server", func(t *testing.T) *target {
		return runRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	}},
	"etcd": {"etcd", runEtcd},
}

func runRedis(t *testing.T, args ...string) *target {
	t.Helper()
	all := func(dir string, port int) []string {
		return append([]string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--maxclients", "1000",
		}, args...)
	}
	i := servers.Run(t, servers.Daemon{Program: "redis-server", Ready: "Ready to accept connections", Args: all})
	return redisTarget(t, i)
}

func runEtcd(t *testing.T) *target {
	t.Helper()
	args := func(dir string, port int) []string {
		here := "http://127.0.0.1:" + strconv.Itoa(port)
		peers := "http://" + unused(t)
		return []string{
			"--data-dir", filepath.Join(dir, "data"), "--listen-client-urls", here, "--advertise-client-urls", here,
			"--listen-peer-urls", peers, "--initial-advertise-peer-urls",
			peers, "--initial-cluster", "default=" + peers,
			"--logger", "zap", "--log-level", "info",
		}
	}
	i := servers.Run(t, servers.Daemon{Program: "etcd", Ready: "serving client traffic", Args: args})
	return etcdTarget(t, i)
}

// unused returns a free address on this machine.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
