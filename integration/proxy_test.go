package integration

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a Client and its server, and can lose one of the server's replies, when the server has long
// done what was asked.
type proxy struct {
	listener net.Listener
	upstream string
	ended    chan struct{} // closed with the test

	mu    sync.Mutex
	conns map[net.Conn]net.Conn // from the client's to the server's
	dead  bool                  // nothing gets through any more, and nobody is told
	count int                   // replies to go until the one that is lost; 0: none
	lost  func()                // called when it has arrived, and before its connection is closed
}

// through is the URL by way of a proxy, which ends with the test.
func newProxy(t testing.TB, rawURL string) (p *proxy, through string) {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{listener: listener, upstream: u.Host, ended: make(chan struct{}), conns: make(map[net.Conn]net.Conn)}
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

// loseReply loses the n-th reply from now, on whichever connection it comes, and closes that connection.
func (p *proxy) loseReply(n int, lost func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count, p.lost = n, lost
}

// spare takes the last loseReply back, if it hasn't come to that.
func (p *proxy) spare() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = 0
}

// blackhole swallows all that is sent from now on, both ways, and leaves the connections open.
func (p *proxy) blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

func (p *proxy) swallows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// open is how many connections there are.
func (p *proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// due counts a reply, and answers what to call if it is the one that is lost.
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

// serve carries one connection until either side closes it.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.upstream)
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
	asked.since.Store(true) // a greeting is a reply, too
	go func() {
		_, _ = io.Copy(asked, client)
		if !p.swallows() {
			_ = server.Close()
		}
	}()
	for reply := make([]byte, 64<<10); ; {
		n, err := server.Read(reply)
		if n > 0 {
			// What comes before the client has asked again belongs to the same reply, in however many pieces.
			if asked.since.CompareAndSwap(true, false) {
				if lost := p.due(); lost != nil {
					lost()
					return
				}
			}
			if p.swallows() {
				continue
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

// asking notes that something was written.
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
