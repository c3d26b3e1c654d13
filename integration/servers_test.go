package integration

import (
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// TestServers says which servers the other tests of this package run on, and by which way they were had.
func TestServers(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		s.Database(t)
		t.Logf("%s by %s", s.Engine, s.Provider)
	})
}
