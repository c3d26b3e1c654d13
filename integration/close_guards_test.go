package integration

import (
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// Close releases all locks, and waits for a transaction that guards one of them. Otherwise that
// lock would look as if its holder had died, and its LockDelay would begin.
func TestCloseWaitsForGuards(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := s.Database(t)
		prepare(t, url)
		target := connect(t, url)
		c := client(t, target, sqllock.Options{})
		names := []string{"a", "b", "c"}
		var locks []*sqllock.Lock
		for _, name := range names {
			locks = append(locks, mustTry(t, c, name, sqllock.LockDelay(time.Hour)))
		}
		tx, err := target.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if err := locks[1].Guard(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		go func() { closed <- c.Close(t.Context()) }()
		select {
		case err := <-closed:
			t.Error("Close returned before the guarded transaction ended")
			closed <- err
		case <-time.After(100 * time.Millisecond):
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		other := client(t, connect(t, url), sqllock.Options{})
		for _, name := range names {
			mustTry(t, other, name)
		}
	})
}
