package integration

import (
	"context"
	"errors"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// Healthy of a Client that has had no answer yet asks the database, and finds out what would also
// make a heartbeat fail.
func TestHealthy(t *testing.T) {
	servers.Every(t, func(t *testing.T, s *servers.Server) {
		good := database(t, s)
		wants := map[string]error{good: nil, s.Database(t): sqllock.ErrSchema}
		if parameter := readOnlyParameter[s.Engine]; parameter != "" {
			wants[withParameter(good, parameter)] = sqllock.ErrUnsupported
		}
		for url, want := range wants {
			c, err := sqllock.New(t.Context(), connect(t, url).Dialect, &sqllock.Options{Unprobed: true, ReapEvery: -1})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Healthy(t.Context()); !errors.Is(err, want) {
				t.Errorf("%s: %v; want %v", url, err, want)
			}
			if err := c.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}
