package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/sqllock"
)

// A quorum's locks have to outlive much shorter outages than others', so that a test sees both sides of them.
const (
	quorumTTL    = 2 * time.Second
	quorumMaxTTL = 4 * time.Second
)

func quorumOptions() *sqllock.QuorumOptions {
	return &sqllock.QuorumOptions{TTL: quorumTTL, MaxTTL: quorumMaxTTL}
}

// quorumOf is a process's quorum of the databases at these URLs, with pools of its own.
func quorumOf(t testing.TB, urls ...string) *sqllock.Quorum {
	t.Helper()
	q, err := sqllock.NewQuorum(t.Context(), quorumClients(t, urls...), quorumOptions())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func quorumClients(t testing.TB, urls ...string) (clients []*sqllock.Client) {
	t.Helper()
	for _, url := range urls {
		clients = append(clients, client(t, connect(t, url), sqllock.Options{Unprobed: true}))
	}
	return clients
}

// prepared are the URLs of databases with tables and nothing in them.
func prepared(t testing.TB, urls ...string) []string {
	t.Helper()
	for _, url := range urls {
		prepare(t, url)
	}
	return urls
}

// dataLost drops sqllock's tables and makes them anew, as after a restart without the data.
func dataLost(t testing.TB, url string) {
	t.Helper()
	target := connect(t, url)
	for _, table := range []string{"sqllock_outcomes", "sqllock_waiters", "sqllock_locks", "sqllock_leases", migrations.Table} {
		execute(t, target, "DROP TABLE "+table)
	}
	if err := migrations.Up(t.Context(), target.DB, target.Migrations); err != nil {
		t.Fatal(err)
	}
}

// guarded is what a quorum's lock protects: it knows the greatest fence that it has seen, and who has come with it.
type guarded struct {
	t testing.TB

	mu      sync.Mutex
	fence   int64
	outside bool // a process that is alive has come with it
	turns   []int
	last    error // why a turn wasn't had
}

// use is a request with the lock's fence. One that is refused is no breach of the lock if that was lost meanwhile.
func (g *guarded) use(l *sqllock.QuorumLock, again bool) {
	g.mu.Lock()
	fence, outside := g.fence, g.outside
	ok := l.Fence() > fence && !outside || again && l.Fence() == fence
	g.fence = max(g.fence, l.Fence())
	g.mu.Unlock()
	if ok {
		return
	}
	select {
	case <-l.Context().Done():
	case <-time.After(100 * time.Millisecond): // a goroutine may be late to tell of the end
		g.t.Errorf("a holder with fence %d has met fence %d (of a process: %t), and trusts its lock", l.Fence(), fence, outside)
	}
}

// work takes the lock again and again.
func (g *guarded) work(ctx context.Context, q *sqllock.Quorum, worker int) {
	for ctx.Err() == nil {
		l, err := q.Acquire(ctx, "job")
		if err != nil {
			continue
		}
		g.use(l, false)
		time.Sleep(3 * time.Millisecond)
		g.use(l, true)
		err = l.Release(context.WithoutCancel(ctx))
		g.mu.Lock()
		if g.turns[worker]++; err != nil {
			g.last = err
		}
		g.mu.Unlock()
		time.Sleep(rand.N(50 * time.Millisecond)) // there is no order: who asks at once has it again
	}
}

// awaitTurns waits until each worker has had the lock some more times.
func (g *guarded) awaitTurns(what string) {
	g.t.Helper()
	const more = 3
	g.mu.Lock()
	before := append([]int(nil), g.turns...)
	g.mu.Unlock()
	took := await(g.t, "turns with "+what, patience, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		for i, n := range g.turns {
			if n < before[i]+more {
				return false
			}
		}
		return true
	})
	g.t.Logf("%s: %d more turns each after %s", what, more, took.Round(time.Millisecond))
}

// startQuorum lets workers go, each with a quorum of its own, until the answer is called.
func startQuorum(t testing.TB, workers ...*sqllock.Quorum) (g *guarded, stop func()) {
	t.Helper()
	g = &guarded{t: t, turns: make([]int, len(workers))}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i, q := range workers {
		group.Go(func() { g.work(ctx, q, i) })
	}
	return g, func() {
		cancel()
		group.Wait()
		t.Logf("turns: %d; the last failure of a release: %v", g.turns, g.last)
	}
}

// Databases of three engines, of which any one is killed, frozen, emptied, or cut off from one of those who want the lock, and
// a holder that is killed: there is one holder at a time, the fences grow, and everybody goes on.
func TestQuorumOfEngines(t *testing.T) {
	t.Parallel()
	var nodes []*servers.Instance
	var urls []string
	for _, engine := range []string{"postgres18", "mysql", "mariadb"} {
		s := servers.Private(t, engine)
		nodes, urls = append(nodes, s), append(urls, s.URL)
	}
	prepared(t, urls...)
	cut, through := newProxy(t, urls[2])
	a, b := quorumOf(t, urls...), quorumOf(t, urls[0], urls[1], through)
	g, stop := startQuorum(t, a, b)
	defer stop()
	g.awaitTurns("a first start")

	nodes[0].Kill()
	g.awaitTurns("postgres18 killed")
	nodes[0].Restart()
	g.awaitTurns("postgres18 restarted")
	nodes[1].Stop()
	g.awaitTurns("mysql frozen")
	nodes[1].Cont()
	g.holderKilled(urls)
	dataLost(t, urls[1])
	g.awaitTurns("mysql emptied")
	cut.blackhole()
	g.awaitTurns("mariadb cut off from one of two")
	nodes[0].Kill()
	await(t, "the emptied mysql to give votes again", patience, func() bool {
		l, err := a.TryAcquire(t.Context(), "another") // b has only one database left
		if err == nil {
			g.t.Logf("mysql gives votes again: fence %d", l.Fence())
		}
		return err == nil && l.Release(t.Context()) == nil
	})
}

// holderKilled lets a process take the lock, and be killed.
func (g *guarded) holderKilled(urls []string) {
	g.t.Helper()
	p := start(g.t, setup{}, nil)
	fence := must[int64](p, "quorumHold", urls)
	g.mu.Lock()
	if fence <= g.fence {
		g.t.Errorf("a process got fence %d after %d", fence, g.fence)
	}
	g.fence, g.outside = max(fence, g.fence), true
	g.mu.Unlock()
	time.Sleep(quorumTTL) // it is kept
	g.mu.Lock()
	g.outside = false
	g.mu.Unlock()
	p.kill()
	g.awaitTurns("a holder killed")
}

var _ = handle("quorumHold", quorumHold)

// quorumHold is run in a worker without a Client. It keeps the lock.
func quorumHold(_ *worker, ctx context.Context, urls []string) (any, error) {
	var clients []*sqllock.Client
	for _, url := range urls {
		target, err := open.URL(url)
		if err != nil {
			return nil, err
		}
		c, err := sqllock.New(ctx, target.Dialect, nil)
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	q, err := sqllock.NewQuorum(ctx, clients, quorumOptions())
	if err != nil {
		return nil, err
	}
	l, err := q.Acquire(ctx, "job")
	if err != nil {
		return nil, err
	}
	return l.Fence(), nil
}

// The same on SQLite alone, where what stands for a server that hangs is a transaction that lets nobody else write.
func TestQuorumOfFiles(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, "sqlite")
	urls := prepared(t, s.Database(t), s.Database(t), s.Database(t))
	g, stop := startQuorum(t, quorumOf(t, urls...), quorumOf(t, urls...), quorumOf(t, urls...))
	defer stop()
	g.awaitTurns("a first start")
	for i, url := range urls {
		tx, err := connect(t, url).DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.awaitTurns(fmt.Sprintf("database %d blocked", i+1))
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
	dataLost(t, urls[1])
	g.awaitTurns("database 2 emptied")
	g.holderKilled(urls)
}

// A database that was emptied while a holder lives helps nobody else to a majority.
func TestQuorumEmptied(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, "postgres18")
	urls := prepared(t, s.Database(t), servers.Start(t, "mysql").Database(t), servers.Start(t, "sqlite").Database(t))
	away, through := newProxy(t, urls[1])
	holder, other := quorumOf(t, urls[0], through, urls[2]), quorumOf(t, urls...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	warm, err := other.Acquire(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := warm.Release(ctx); err != nil {
		t.Error(err)
	}
	away.blackhole() // the holder has the votes of the two others
	l, err := holder.Acquire(ctx, "x", sqllock.WithTTL(quorumMaxTTL))
	if err != nil {
		t.Fatal(err)
	}
	dataLost(t, urls[0])
	began, tries := time.Now(), 0
	for ; l.Context().Err() == nil; tries++ {
		next, err := other.TryAcquire(ctx, "x")
		if err == nil && l.Context().Err() == nil {
			t.Fatalf("fence %d was granted while the holder of %d trusts its lock", next.Fence(), l.Fence())
		}
		if !errors.Is(err, sqllock.ErrNotAcquired) {
			t.Errorf("TryAcquire: %v", err)
		}
	}
	t.Logf("the holder was told %s after the data was lost: %v (%d tries of another)",
		time.Since(began).Round(time.Millisecond), context.Cause(l.Context()), tries)
	next, err := other.Acquire(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	if next.Fence() <= l.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), l.Fence())
	}
	if err := next.Release(ctx); err != nil {
		t.Error(err)
	}
}

// One database that is reached by two URLs, and by two pools, is found out by asking it.
func TestQuorumSameDatabase(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		one, files := database(t, s), servers.Start(t, "sqlite")
		another := prepared(t, files.Database(t))[0]
		same := []string{one}
		if s.Provider != "embedded" {
			_, through := newProxy(t, one)
			same = append(same, through)
		}
		for _, url := range same {
			for _, urls := range [][]string{{one, another, url}, {one, url, url}} {
				_, err := sqllock.NewQuorum(t.Context(), quorumClients(t, urls...), quorumOptions())
				if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "the same database") {
					t.Errorf("%q: %v", urls, err)
				}
			}
		}
	})
}
