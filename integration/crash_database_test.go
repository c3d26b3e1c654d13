package integration

import (
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// The database server is killed and restarted again and again while processes do guarded work: nobody's work
// overlaps, nothing is lost of what was reported as written, and everybody goes on afterwards by himself.
func TestDatabaseKilled(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine, servers.Durable())
		prepare(t, server.URL)
		c := startLoad(t, 3, setup{URL: server.URL, TTL: loadTTL, ReapEvery: time.Second}, loadRoutines, loadAccounts)
		c.book.awaitEach(t, 3, c.alive()...)
		var down, recovery time.Duration
		const kills = 3
		for range kills {
			began := time.Now()
			server.Kill()
			c.book.awaitTrouble(t)
			restarted := time.Now()
			server.Restart()
			c.book.awaitEach(t, 3, c.alive()...)
			down, recovery = down+restarted.Sub(began), recovery+time.Since(restarted)
		}
		c.finish(t)
		target := connect(t, server.URL)
		c.book.prove(t, target.DB)
		t.Logf("killed %d times; down for %s, and %s from the restart to three more jobs of each worker, on average",
			kills, (down / kills).Round(time.Millisecond), (recovery / kills).Round(time.Millisecond))
		nothingLeft(t, client(t, target, sqllock.Options{}), 2*loadTTL)
	})
}

// awaitTrouble waits until a job has failed since.
func (b *book) awaitTrouble(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	before := b.troubles()
	b.mu.Unlock()
	b.await(t, "a job that fails", func() bool { return b.troubles() > before })
}

func (b *book) troubles() int {
	return b.counts[refused] + b.counts[failed] + b.counts[late] + b.counts[unsure]
}
