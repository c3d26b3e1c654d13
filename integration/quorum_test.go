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

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/quorum"
)

// The TTLs are short, so that in a test an outage can be shorter or longer than the TTL.
const (
	quorumTTL    = 2 * time.Second
	quorumMaxTTL = 4 * time.Second
)

func quorumOptions() *quorum.Options {
	return &quorum.Options{TTL: quorumTTL, MaxTTL: quorumMaxTTL}
}

// quorumOf returns a process's quorum of the databases at these URLs, with pools of its own.
func quorumOf(t testing.TB, urls ...string) *quorum.Quorum {
	t.Helper()
	q, err := quorum.New(t.Context(), quorumClients(t, urls...), quorumOptions())
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

// prepared creates sqllock's tables in the databases and returns their URLs.
func prepared(t testing.TB, urls ...string) []string {
	t.Helper()
	for _, url := range urls {
		prepare(t, url)
	}
	return urls
}

// dataLost drops sqllock's tables and creates them anew, as after a restart that lost the data.
func dataLost(t testing.TB, url string) {
	t.Helper()
	target := connect(t, url)
	execute(t, target, "DROP VIEW sqllock_held")
	tables := []string{
		"sqllock_breaks", "sqllock_schema", "sqllock_outcomes", "sqllock_waiters", "sqllock_locks", "sqllock_leases",
		migrations.Table,
	}
	for _, table := range tables {
		execute(t, target, "DROP TABLE "+table)
	}
	if err := migrations.Up(t.Context(), target.DB, target.Migrations); err != nil {
		t.Fatal(err)
	}
}

// guarded is the resource that a quorum's lock protects. It remembers the greatest fence that it
// has seen, and whether another process came with it.
type guarded struct {
	t testing.TB

	mu      sync.Mutex
	fence   int64
	outside bool  // a worker process that is alive holds the lock with this fence
	grants  []int // how often each worker has had the lock
	last    error // the last failure of a release
}

// use sends a request with the lock's fence. A refused request is no breach of the lock if the lock
// was lost meanwhile.
func (g *guarded) use(l *quorum.Lock, again bool) {
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
	case <-time.After(100 * time.Millisecond): // the goroutine that ends the context may be late
		g.t.Errorf("the lock with fence %d isn't lost after a request with fence %d (of another process: %t)",
			l.Fence(), fence, outside)
	}
}

// work acquires and releases the lock again and again.
func (g *guarded) work(ctx context.Context, q *quorum.Quorum, worker int) {
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
		if g.grants[worker]++; err != nil {
			g.last = err
		}
		g.mu.Unlock()
		time.Sleep(rand.N(50 * time.Millisecond)) // there is no order: a worker that asks at once gets the lock again
	}
}

// awaitGrants waits until each worker has had the lock three more times.
func (g *guarded) awaitGrants(what string) {
	g.t.Helper()
	const more = 3
	g.mu.Lock()
	before := append([]int(nil), g.grants...)
	g.mu.Unlock()
	took := await(g.t, "grants with "+what, stepTimeout, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		for i, n := range g.grants {
			if n < before[i]+more {
				return false
			}
		}
		return true
	})
	g.t.Logf("%s: %d more grants each after %s", what, more, took.Round(time.Millisecond))
}

// startQuorum runs workers, each with a quorum of its own, until stop is called.
func startQuorum(t testing.TB, workers ...*quorum.Quorum) (g *guarded, stop func()) {
	t.Helper()
	g = &guarded{t: t, grants: make([]int, len(workers))}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i, q := range workers {
		group.Go(func() { g.work(ctx, q, i) })
	}
	return g, func() {
		cancel()
		group.Wait()
		t.Logf("grants: %d; the last failure of a release: %v", g.grants, g.last)
	}
}

// TestQuorumOfEngines runs a quorum of databases of three engines. Each of them is killed, frozen,
// emptied, or cut off from one of the clients, and a holder is killed. There is one holder at a
// time, the fences grow, and all workers continue.
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
	g.awaitGrants("a first start")

	nodes[0].Kill()
	g.awaitGrants("postgres18 killed")
	nodes[0].Restart()
	g.awaitGrants("postgres18 restarted")
	nodes[1].Stop()
	g.awaitGrants("mysql frozen")
	nodes[1].Cont()
	g.holderKilled(urls)
	dataLost(t, urls[1])
	g.awaitGrants("mysql emptied")
	cut.blackhole()
	g.awaitGrants("mariadb cut off from one of two")
	nodes[0].Kill()
	await(t, "the emptied mysql to give votes again", stepTimeout, func() bool {
		l, err := a.TryAcquire(t.Context(), "another") // b has only one database left
		if err == nil {
			g.t.Logf("mysql gives votes again: fence %d", l.Fence())
		}
		return err == nil && l.Release(t.Context()) == nil
	})
}

// holderKilled lets another process acquire the lock, and kills it.
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
	time.Sleep(quorumTTL) // the process keeps the lock
	g.mu.Lock()
	g.outside = false
	g.mu.Unlock()
	p.kill()
	g.awaitGrants("a holder killed")
}

var _ = handle("quorumHold", quorumHold)

// quorumHold acquires the lock and keeps it. It runs in a worker without a Client.
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
	q, err := quorum.New(ctx, clients, quorumOptions())
	if err != nil {
		return nil, err
	}
	l, err := q.Acquire(ctx, "job")
	if err != nil {
		return nil, err
	}
	return l.Fence(), nil
}

// TestQuorumOfFiles runs a quorum of SQLite files. A transaction that keeps all others from writing
// stands for a server that hangs.
func TestQuorumOfFiles(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, "sqlite")
	urls := prepared(t, s.Database(t), s.Database(t), s.Database(t))
	g, stop := startQuorum(t, quorumOf(t, urls...), quorumOf(t, urls...), quorumOf(t, urls...))
	defer stop()
	g.awaitGrants("a first start")
	for i, url := range urls {
		tx, err := connect(t, url).DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.awaitGrants(fmt.Sprintf("database %d blocked", i+1))
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
	dataLost(t, urls[1])
	g.awaitGrants("database 2 emptied")
	g.holderKilled(urls)
}

// TestQuorumEmptied checks that a database that was emptied while a lock is held helps no other
// client to a majority.
func TestQuorumEmptied(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, "postgres18")
	urls := prepared(t, s.Database(t), servers.Start(t, "mysql").Database(t), servers.Start(t, "sqlite").Database(t))
	away, through := newProxy(t, urls[1])
	holder, other := quorumOf(t, urls[0], through, urls[2]), quorumOf(t, urls...)
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
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
			t.Fatalf("fence %d was granted while the lock with fence %d isn't lost", next.Fence(), l.Fence())
		}
		if !errors.Is(err, sqllock.ErrNotAcquired) {
			t.Errorf("TryAcquire: %v", err)
		}
	}
	t.Logf("the holder's context ended %s after the data was lost: %v (%d tries of another client)",
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

// TestQuorumSameDatabase checks that quorum.New notices one database that is reached by two URLs,
// or by two pools.
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
				_, err := quorum.New(t.Context(), quorumClients(t, urls...), quorumOptions())
				if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "the same database") {
					t.Errorf("%q: %v", urls, err)
				}
			}
		}
	})
}

// TestQuorumSharedServer checks that two databases of one server are refused, since their votes
// aren't independent. quorum.New returns the error before it writes anything. What was registered
// by mistake can be removed.
func TestQuorumSharedServer(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Provider == "embedded" {
			return // nothing shows that two files are on one disk
		}
		files := servers.Start(t, "sqlite")
		urls := prepared(t, s.Database(t), files.Database(t), s.Database(t))
		clients := quorumClients(t, urls...)
		_, err := quorum.New(t.Context(), clients, quorumOptions())
		if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "share") ||
			!strings.Contains(err.Error(), "database 3") {
			t.Errorf("two databases of one server: %v", err)
		}
		for _, url := range urls {
			if n := scan[int](t, connect(t, url), "SELECT COUNT(*) FROM sqllock_locks"); n != 0 {
				t.Errorf("%d locks are in a database that was refused", n)
			}
		}
		meant := quorumOptions()
		meant.SharedServers = true
		if _, err := quorum.New(t.Context(), clients, meant); err != nil {
			t.Fatal(err)
		}
		longer := quorumOptions()
		longer.MaxTTL, longer.SharedServers = quorumMaxTTL+time.Second, true
		for range clients {
			_, err := quorum.New(t.Context(), clients, longer)
			var invalid string
			if errors.Is(err, sqllock.ErrInvalid) {
				invalid = err.Error()
			}
			_, statement, found := strings.Cut(invalid, "DELETE")
			statement, _, _ = strings.Cut(statement, " (its votes")
			number := strings.Index(invalid, "database ") + len("database ")
			if !found {
				t.Fatalf("another MaxTTL: %v", err)
			}
			named := connect(t, urls[invalid[number]-'1']).DB
			if _, err := named.ExecContext(t.Context(), "DELETE"+statement); err != nil {
				t.Fatalf("%s: %v", invalid, err)
			}
		}
		if _, err := quorum.New(t.Context(), clients, longer); err != nil {
			t.Errorf("after the databases were removed from the quorum: %v", err)
		}
	})
}
