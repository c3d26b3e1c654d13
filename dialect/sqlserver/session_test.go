package sqlserver

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/dialect"
)

// The name is a hash, in which names are distinguished byte for byte. The server truncates at 255.
func TestResource(t *testing.T) {
	seen := make(map[string]string)
	for _, k := range []kind{sessionKind, txKind} {
		for _, name := range []string{
			"a", "A", "a ", "é", "e\u0301", "\xff", "\xfe",
			strings.Repeat("n", 255), strings.Repeat("n", 254),
		} {
			r := k.resource(name)
			if before, known := seen[r[:32]]; known || len(r) != 64 || strings.ToLower(r) != r {
				t.Errorf("%s %q and %s are both %s", k, name, before, r)
			}
			seen[r[:32]] = name
		}
	}
}

func TestGranted(t *testing.T) {
	failure := errors.New("failure")
	for _, c := range []struct {
		status int
		err    error
		got    bool
		want   error // nil for none
	}{
		{0, nil, true, nil},
		{1, nil, true, nil},
		{-1, nil, false, nil},
		{-999, nil, false, nil},
		{-3, nil, false, dialect.ErrDeadlock},
		{0, failure, false, failure},
	} {
		if got, err := granted([]int{c.status}, c.err); got != c.got || !errors.Is(err, c.want) {
			t.Errorf("%d, %v: %t, %v", c.status, c.err, got, err)
		}
	}
	if got, err := granted([]int{-2}, nil); got || err == nil {
		t.Errorf("cancelled: %t, %v", got, err)
	}
	if got, err := granted(nil, nil); got || err == nil {
		t.Errorf("no status: %t, %v", got, err)
	}
	if got, err := granted(waited([]int{-999}, nil)); got || err == nil {
		t.Errorf("-999 after waiting: %t, %v", got, err)
	}
	if err := deadlock(mssql.Error{Number: 1205}); !errors.Is(err, dialect.ErrDeadlock) ||
		New(nil).Classify(err) != dialect.ClassTransient {
		t.Errorf("a deadlock over rows: %v", err)
	}
}

func TestOperationTimeout(t *testing.T) {
	if got := waitSeconds(t.Context()); got != slice {
		t.Errorf("without a deadline: %s", got)
	}
	for remaining, most := range map[time.Duration]time.Duration{
		-time.Hour: time.Millisecond, time.Second: time.Second, time.Hour: slice,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), remaining)
		if got := waitSeconds(ctx); got > most || got < time.Millisecond {
			t.Errorf("with %s remaining: %s", remaining, got)
		}
		cancel()
	}
}

// People read what the server keeps of a holder's name.
func TestHolderName(t *testing.T) {
	long := strings.Repeat("é", 100)
	for holder, want := range map[string]string{"app-1": "app-1", "": "", long: strings.Repeat("é",
		64), "x" + long: "x" + strings.Repeat("é", 63)} {
		info := contextInfo(holder)
		if len(info) == 0 || len(info) > 128 {
			t.Errorf("%q: %d bytes", holder, len(info))
		}
		if got := holderName(append(info, make([]byte, 128-len(info))...)); got != want {
			t.Errorf("%q became %q, want %q", holder, got, want)
		}
	}
	for want, got := range map[string]string{
		"app-1 (session 51, sqllock on host7)": describe(51, "sqllock", "host7", []byte("app-1\x00\x00")),
		"session 51":                           describe(51, "", "", nil),
		"session 51, sqllock":                  describe(51, "sqllock", "", []byte{0, 0}),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOpenSessionWithoutConnector(t *testing.T) {
	db, err := Open("sqlserver://nobody@127.0.0.1:1?database=x")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_, err = New(db).OpenSession(t.Context(), dialect.SessionOptions{})
	if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), "WithConnector") {
		t.Errorf("OpenSession: %v", err)
	}
}

// hostDialer is a dialer that resolves names itself.
type hostDialer struct{ net.Dialer }

func (*hostDialer) HostName() string { return "inner" }

// A socket is cut during a read, and nothing is opened on it afterwards.
func TestSocket(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	connector := new(mssql.Connector)
	s := new(socket)
	own := s.through(connector)
	if connector.Dialer != nil || own.Dialer == nil {
		t.Fatal("the caller's connector was changed, or ours wasn't")
	}
	conn, err := own.Dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	s.cut()
	s.cut()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if _, err := own.Dialer.DialContext(t.Context(), "tcp", listener.Addr().String()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("another connection: %v", err)
	}
	connector.Dialer = new(hostDialer)
	host, ok := new(socket).through(connector).Dialer.(mssql.HostDialer)
	if !ok || host.HostName() != "inner" {
		t.Error("a dialer that looks names up itself was taken for one that doesn't")
	}
}
