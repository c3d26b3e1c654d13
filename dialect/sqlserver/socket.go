package sqlserver

import (
	"context"
	"net"
	"sync"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
)

// socket is the network connection under a driver connection. It can be cut without asking the
// driver.
type socket struct {
	dialer mssql.Dialer // the connector's own; nil for the default

	mu sync.Mutex
	// usually one; more if the server has several addresses or redirects the client
	open   []net.Conn
	closed bool
}

// keepAlive is what go-mssqldb sets for a connector without a dialer of its own.
const keepAlive = 30 * time.Second

// through returns the connector with its connections on s.
func (s *socket) through(connector *mssql.Connector) *mssql.Connector {
	own := *connector
	s.dialer, own.Dialer = connector.Dialer, s
	if host, ok := connector.Dialer.(mssql.HostDialer); ok {
		own.Dialer = hostSocket{s, host}
	}
	return &own
}

// hostSocket is a socket whose dialer resolves names itself.
type hostSocket struct {
	*socket
	host mssql.HostDialer
}

// HostName is the dialer's.
func (h hostSocket) HostName() string { return h.host.HostName() }

// DialContext connects.
func (s *socket) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := s.dialer
	if dialer == nil {
		dialer = &net.Dialer{KeepAlive: keepAlive}
	}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	s.open = append(s.open, conn)
	return conn, nil
}

// cut closes the connection, also while it is in use.
func (s *socket) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, conn := range s.open {
		_ = conn.Close()
	}
	s.open = nil
}
