package integration

import (
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// TestServers logs which servers the other tests of this package run on, and how they were
// provided.
func TestServers(t *testing.T) {
	servers.Every(t, func(t *testing.T, s *servers.Server) {
		s.Database(t)
		t.Logf("%s by %s", s.Engine, s.Provider)
	})
}
