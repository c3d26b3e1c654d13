package integration

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// station is a process to the database: a Client with a pool of its own. One that crashes is followed by another.
type station struct {
	t      *testing.T
	url    string
	holder string
	lie    func(dialect.Dialect) dialect.Dialect // what the Client is told of the database; nil: the truth

	mu     sync.Mutex // guards what follows
	locks  *sqllock.Client
	cut    func() // ends the pool under it
	reborn int
}

func newStation(t *testing.T, url, holder string, lie func(dialect.Dialect) dialect.Dialect) *station {
	t.Helper()
	s := &station{t: t, url: url, holder: holder, lie: lie}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	return s
}

// open makes a Client. The caller holds mu, or nobody else knows the station yet.
func (s *station) open() error {
	target := connect(s.t, s.url)
	target.DB.SetMaxOpenConns(4)
	target.DB.SetMaxIdleConns(4)
	d := target.Dialect
	if s.lie != nil {
		d = s.lie(d)
	}
	c, err := sqllock.New(s.t.Context(), d, &sqllock.Options{
		TTL: historyTTL, Holder: s.holder, ReapEvery: -1, Logger: slog.New(slog.DiscardHandler), PollOnly: s.reborn%2 == 1,
	})
	if err != nil {
		return err
	}
	s.locks, s.cut = c, func() { _ = target.DB.Close() }
	s.t.Cleanup(func() { _ = c.Close(context.Background()) }) // fails where the pool was closed under it
	return nil
}

func (s *station) client() *sqllock.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locks
}

// crash closes the pool under the Client, whose lease runs out then, and puts another Client in its place.
func (s *station) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut()
	s.reborn++
	if err := s.open(); err != nil {
		s.t.Error(err)
	}
}
