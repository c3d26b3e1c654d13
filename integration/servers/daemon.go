package servers

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"testing"
)

// Daemon is how to run a server that isn't a SQL database, for bench to compare with.
type Daemon struct {
	Program string                              // in PATH, or where Debian puts servers
	Args    func(dir string, port int) []string // it keeps its files in dir, and listens on port of 127.0.0.1
	Ready   string                              // what it logs when it takes connections
}

// Run starts a server that ends with the test, like Private. Its URL is tcp://host:port. Ask Installed first: one that
// isn't installed fails the test.
func Run(t testing.TB, d Daemon) *Instance {
	t.Helper()
	bin, err := inPath(d.Program)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := newDir(d.Program)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{name: d.Program, answers: dial, rootURL: func(host string, port int) *url.URL {
		return &url.URL{Scheme: "tcp", Host: net.JoinHostPort(host, strconv.Itoa(port))}
	}}
	l, err := launchOn(e, &program{ready: d.Ready, command: func(dir string, port int, _ bool) []string {
		return append([]string{bin}, d.Args(dir, port)...)
	}}, dir, local{})
	if err != nil {
		t.Fatal(err)
	}
	i := attach(t, l)
	i.URL = l.root.String()
	return i
}

func dial(u *url.URL) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Installed tells whether Private can run that engine, or Run that program, from what is installed on this machine.
// The error says what is missing.
func Installed(name string) error {
	e, err := lookup(name)
	if err != nil {
		_, err = inPath(name)
		return err
	}
	if e.embedded {
		return nil
	}
	_, err = e.find()
	return err
}
