package integration

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// clientProcess looks like a process to the database: it is a Client with a pool of its own. After
// a crash, it continues with a new Client.
type clientProcess struct {
	t      *testing.T
	url    string
	holder string
	fault  func(dialect.Dialect) dialect.Dialect // breaks the Client's dialect, unless nil

	mu      sync.Mutex // guards the fields below
	locks   *sqllock.Client
	cut     func() // closes the pool of locks
	crashes int
}

func newClientProcess(t *testing.T, url, holder string, fault func(dialect.Dialect) dialect.Dialect) *clientProcess {
	t.Helper()
	s := &clientProcess{t: t, url: url, holder: holder, fault: fault}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	return s
}

// open creates a Client. The caller holds mu, or no other goroutine has the clientProcess yet.
func (s *clientProcess) open() error {
	target := connect(s.t, s.url)
	target.DB.SetMaxOpenConns(4)
	target.DB.SetMaxIdleConns(4)
	d := target.Dialect
	if s.fault != nil {
		d = s.fault(d)
	}
	c, err := sqllock.New(s.t.Context(), d, &sqllock.Options{
		TTL: historyTTL, Holder: s.holder, ReapEvery: -1,
		Logger: slog.New(slog.DiscardHandler), PollOnly: s.crashes%2 == 1,
	})
	if err != nil {
		return err
	}
	s.locks, s.cut = c, func() { _ = target.DB.Close() }
	s.t.Cleanup(func() { _ = c.Close(context.Background()) }) // fails if crash has closed the pool
	return nil
}

func (s *clientProcess) client() *sqllock.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locks
}

// crash closes the pool of the Client, whose lease runs out then, and replaces the Client.
func (s *clientProcess) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut()
	s.crashes++
	if err := s.open(); err != nil {
		s.t.Error(err)
	}
}
