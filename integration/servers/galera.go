package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// galera returns the engine for a cluster of MariaDB servers that all accept writes.
func galera() *engine {
	e := mariadb()
	e.name, e.nodes = "galera", 3
	e.find = findGalera
	return e
}

// Cluster starts a cluster of three nodes that no other test uses, and blocks until all of them
// accept writes, which takes ten seconds. Each instance is a node, with the URL of the same empty
// database. If a cluster can't be run here, the test is skipped, or fails if SQLLOCK_TEST_REQUIRE
// names "galera". A node that was killed and is restarted joins the others again. If all nodes were
// killed, none can.
func Cluster(t testing.TB) []*Instance {
	t.Helper()
	running.see(t)
	e := galera()
	nodes, err := launchCluster(e)
	attachAll(t, nodes)
	if err != nil && !errors.Is(err, errAbsent) {
		// On a busy machine a node rarely waits forever for the transactions that it missed while
		// it received the others' data.
		_, _ = fmt.Fprintf(loud, "%s: the cluster didn't start, trying once more: %v\n", t.Name(), err)
		nodes, err = launchCluster(e)
		attachAll(t, nodes)
	}
	if err != nil {
		missing(t, e.name, err)
	}
	u, err := e.createDatabase(t.Context(), nodes[0].root)
	if err != nil {
		t.Fatal(err)
	}
	instances := make([]*Instance, len(nodes))
	for i, l := range nodes {
		instances[i] = &Instance{t: t, local: l}
		there := *u
		there.Host = l.root.Host
		instances[i].URL = there.String()
		instances[i].AwaitMember(t, len(nodes))
	}
	return instances
}

func attachAll(t testing.TB, nodes []*local) {
	for _, l := range nodes {
		attach(t, l)
	}
}

// AwaitMember blocks until a node of a cluster accepts writes and sees that many nodes, including
// itself.
func (i *Instance) AwaitMember(t testing.TB, nodes int) {
	t.Helper()
	await := func(name, value string) {
		for deadline := time.Now().Add(stepTimeout); ; time.Sleep(20 * time.Millisecond) {
			var found string
			i.query(t, &found,
				"SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '"+name+"'")
			if found == value {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s of the node at %s has been %q for %v; want %q", name, i.Addr(), found, stepTimeout, value)
			}
		}
	}
	await("WSREP_CLUSTER_SIZE", strconv.Itoa(nodes))
	await("WSREP_READY", "ON")
}

// launchCluster starts the first node as a cluster of one, and then the others. It returns the
// nodes that did start along with the error.
func launchCluster(e *engine) (nodes []*local, err error) {
	p, err := e.find()
	if err != nil {
		return nil, err
	}
	peers := make([]string, e.nodes)
	for i := range peers {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		peers[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	for i := range peers {
		l, err := launchNode(e, p, peers, i)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, l)
	}
	return nodes, nil
}

func launchNode(e *engine, p *program, peers []string, i int) (*local, error) {
	var ports [2]int // for the data that it receives: all of it, or the latest transactions
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	node, first := *p, i == 0
	node.command = func(dir string, port int, durable bool) []string {
		command := slices.Concat(
			[]string{"/usr/bin/env", "PATH=" + p.bin + ":" + os.Getenv("PATH")},
			p.command(dir, port, durable),
			[]string{
				"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
				"--wsrep-on=ON", "--wsrep-provider=" + galeraLibrary,
				"--wsrep-cluster-name=sqllock",
				"--wsrep-cluster-address=gcomm://" + strings.Join(peers, ","),
				"--wsrep-node-address=" + peers[i], "--wsrep-node-name=node" + strconv.Itoa(i+1),
				"--wsrep-sst-method=rsync",
				fmt.Sprintf("--wsrep-sst-receive-address=127.0.0.1:%d", ports[0]),
				fmt.Sprintf("--wsrep-provider-options="+
					"gmcast.listen_addr=tcp://%s;ist.recv_addr=127.0.0.1:%d;gcache.size=8M;pc.recovery=false",
					peers[i], ports[1]),
			})
		if first {
			return append(command, "--wsrep-new-cluster")
		}
		// This node receives the users with the data.
		return slices.DeleteFunc(command, func(arg string) bool { return strings.HasPrefix(arg, "--init-file=") })
	}
	dir, err := copyTemplate(mariadb(), p)
	if err != nil {
		return nil, err
	}
	l, err := launchOn(e, &node, dir, local{})
	first = false
	return l, err
}

const galeraLibrary = "/usr/lib/galera/libgalera_smm.so"

// findGalera returns MariaDB's program with what a cluster needs. Its bin is the directory of the
// scripts that send a node its data.
func findGalera() (*program, error) {
	p, err := findMariaDB()
	if err != nil {
		return nil, err
	}
	for _, path := range []string{galeraLibrary, "/usr/bin/rsync"} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: %w", errAbsent, err)
		}
	}
	dirs := []string{"/usr/bin"}
	for _, cache := range cacheDirs() {
		dirs = append(dirs, filepath.Join(cache, "galera"))
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "wsrep_sst_rsync")); err == nil {
			p.bin = dir
			p.ready = "mariadbd: ready for connections" // the library logs something similar, but earlier
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: no wsrep_sst_rsync in %q", errAbsent, dirs)
}

// Databases creates an empty database and returns its URL on this node and on the others. It is
// dropped when the test ends.
func (i *Instance) Databases(t testing.TB, others ...*Instance) (urls []string) {
	t.Helper()
	running.see(t)
	u, err := i.local.engine.createDatabase(t.Context(), i.local.root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.local.engine.dropDatabase(i.local.root, u); err != nil {
			t.Error(err)
		}
	})
	for _, node := range append([]*Instance{i}, others...) {
		there := *u
		there.Host = node.Addr()
		urls = append(urls, there.String())
	}
	return urls
}
