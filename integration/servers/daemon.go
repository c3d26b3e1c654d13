package servers

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"testing"
)

// Daemon describes how to run a server that isn't a SQL database, for bench to compare with.
type Daemon struct {
	Program string                              // in PATH, or where Debian puts servers
	Args    func(dir string, port int) []string // it must keep its files in dir and listen on 127.0.0.1:port
	Ready   string                              // what it logs when it accepts connections
}

// Run starts a server that ends with the test, like [Private]. Its URL is tcp://host:port. Call
// [Installed] first: Run fails the test if the program isn't installed.
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
	e := &engine{name: d.Program, responds: dial, rootURL: func(host string, port int) *url.URL {
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
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Installed reports whether [Private] can run that engine, or [Run] that program, from what is
// installed on this machine. The error says what is missing.
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
