package integration

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy sits between a Client and its server. It can lose one of the server's replies after the
// server has executed the request.
type proxy struct {
	listener net.Listener
	upstream func() string // the server for a new connection; "" if there is none
	ended    chan struct{} // closed when the test ends

	mu    sync.Mutex
	conns map[net.Conn]net.Conn // from the client's connection to the server's
	dead  bool                  // drops everything without closing the connections
	count int                   // how many replies from now the lost one is; 0 if none is to be lost
	lost  func()                // called when that reply has arrived, before its connection is closed
	delay time.Duration         // by which each reply is late
}

// newProxy starts a proxy that ends with the test, and returns the URL through it.
func newProxy(t testing.TB, rawURL string) (p *proxy, through string) {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return newRouter(t, rawURL, func() string { return u.Host })
}

// newRouter is newProxy for a server that changes: upstream returns the address for each new
// connection, or "" if there is none at the moment. Open connections stay where they are.
func newRouter(t testing.TB, rawURL string, upstream func() string) (p *proxy, through string) {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{listener: listener, upstream: upstream, ended: make(chan struct{}), conns: make(map[net.Conn]net.Conn)}
	u.Host = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		close(p.ended)
		p.closeAll()
		serving.Wait()
	})
	return p, u.String()
}

// loseReply loses the n-th reply from now, on whichever connection it arrives, and closes that
// connection.
func (p *proxy) loseReply(n int, lost func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count, p.lost = n, lost
}

// spare cancels the last loseReply if that reply hasn't arrived yet.
func (p *proxy) spare() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = 0
}

// blackhole drops everything that is sent from now on, in both directions, and leaves the
// connections open.
func (p *proxy) blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

// revive ends blackhole and slow, and closes the connections on which something was dropped.
func (p *proxy) revive() {
	p.mu.Lock()
	dropped := p.dead
	p.dead, p.delay = false, 0
	p.mu.Unlock()
	if dropped {
		p.closeAll()
	}
}

// slow makes each reply late by d from now on.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *proxy) lateness() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

func (p *proxy) swallows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// open returns the number of open connections.
func (p *proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// due counts a reply. It returns the function to call if this is the reply to lose.
func (p *proxy) due() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		return nil
	}
	if p.count--; p.count > 0 {
		return nil
	}
	return p.lost
}

// serve forwards one connection until either side closes it.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	upstream := p.upstream()
	if upstream == "" {
		return
	}
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client] = server
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
	}()

	asked := &asking{Writer: server, proxy: p}
	asked.since.Store(true) // the server's greeting counts as a reply
	go func() {
		_, _ = io.Copy(asked, client)
		if !p.swallows() {
			_ = server.Close()
		}
	}()
	for reply := make([]byte, 64<<10); ; {
		n, err := server.Read(reply)
		if n > 0 {
			// Everything until the client's next request belongs to the same reply, in however many
			// pieces.
			if asked.since.CompareAndSwap(true, false) {
				if lost := p.due(); lost != nil {
					lost()
					return
				}
			}
			if p.swallows() {
				continue
			}
			if late := p.lateness(); late > 0 {
				time.Sleep(late)
			}
			if _, err := client.Write(reply[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if p.swallows() {
				<-p.ended
			}
			return
		}
	}
}

// asking records that the client has written something.
type asking struct {
	io.Writer
	proxy *proxy
	since atomic.Bool
}

func (a *asking) Write(b []byte) (int, error) {
	if a.proxy.swallows() {
		return len(b), nil
	}
	a.since.Store(true)
	return a.Writer.Write(b)
}

func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, server := range p.conns {
		_ = client.Close()
		_ = server.Close()
	}
}
