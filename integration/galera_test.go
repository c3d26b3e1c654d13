package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/sqllock"
)

// TestGalera is everything that is to be shown on a cluster, one after the other on the same one: to form it takes ten
// seconds. The last of them breaks it.
func TestGalera(t *testing.T) {
	nodes := servers.Cluster(t)
	targets := make([]*open.Database, len(nodes))
	prepare(t, nodes[0].URL)
	for i, node := range nodes {
		targets[i] = connect(t, node.URL)
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T, []*open.Database)
	}{
		{"one holder", galeraOneHolder},
		{"a holder that dies", galeraDeadHolder},
		{"a guarded transaction and a takeover elsewhere", galeraGuard},
		{"a queue", galeraQueue},
		{"a lock that is passed on", galeraPass},
		{"shared locks", galeraShared},
		{"session locks", galeraSessions},
		{"transaction locks", galeraTransactions},
		{"a conflict shows at the next statement", galeraConflict},
		{"an outcome that two nodes claim", galeraOutcome},
		{"check", galeraCheck},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, targets) })
	}
	t.Run("conformance", func(t *testing.T) { galeraConformance(t, nodes) })
	t.Run("outside the primary component", func(t *testing.T) { galeraMinority(t, nodes, targets) })
}

// galeraOneHolder: goroutines on all nodes want one lock, and each is alone when it has it.
func galeraOneHolder(t *testing.T, targets []*open.Database) {
	const goroutines, rounds = 3, 10
	var group sync.WaitGroup
	var inside atomic.Int32
	var last atomic.Int64
	count := 0 // that only the lock protects
	for _, target := range targets {
		c := client(t, target, sqllock.Options{})
		for range goroutines {
			group.Go(func() {
				for range rounds {
					lock, err := c.Acquire(t.Context(), "one holder")
					if err != nil {
						t.Error(err)
						return
					}
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d hold the lock", n)
					}
					count++
					if before := last.Swap(lock.Fence()); before >= lock.Fence() {
						t.Errorf("fence %d after %d", lock.Fence(), before)
					}
					inside.Add(-1)
					if err := lock.Release(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	group.Wait()
	if want := len(targets) * goroutines * rounds; count != want {
		t.Errorf("counted %d, want %d", count, want)
	}
}

// galeraShared: a node may not have seen yet who reads through another, so shared locks are refused; permits are locks like any.
func galeraShared(t *testing.T, targets []*open.Database) {
	c := client(t, targets[0], sqllock.Options{})
	if lock, err := c.TryAcquire(t.Context(), "shared", sqllock.Shared()); !errors.Is(err, sqllock.ErrUnsupported) {
		t.Errorf("Shared: %v, %v; want ErrUnsupported", lock, err)
	}
	mustRelease(t, mustTry(t, c, "shared", sqllock.Permits(2)))
}

// galeraDeadHolder: what a node has taken, another takes over when the lease has run out, and no sooner.
func galeraDeadHolder(t *testing.T, targets []*open.Database) {
	d, ctx := targets[0].Dialect, t.Context()
	lease := dialect.Lease{ID: rand.Text(), Holder: "h", TTL: 500 * time.Millisecond}
	if err := d.CreateLease(ctx, lease); err != nil {
		t.Fatal(err)
	}
	key := dialect.Key{Name: "a holder that dies"}
	if grants, err := d.Acquire(ctx, []dialect.Request{{Key: key, LeaseID: lease.ID, Owner: rand.Text()}}); err != nil || !grants[0].Granted {
		t.Fatal(grants, err)
	}
	started := time.Now()
	lock, err := client(t, targets[2], sqllock.Options{}).Acquire(ctx, key.Name)
	if err != nil {
		t.Fatal(err)
	}
	if passed := time.Since(started); passed < lease.TTL-50*time.Millisecond {
		t.Errorf("taken over after %s, and the lease was of %s", passed, lease.TTL)
	}
	mustRelease(t, lock)
}

// galeraGuard: a takeover that is committed on another node, and has not come here yet, keeps a guarded transaction from
// committing here. A node that is busy with a large transaction is behind for as long as that takes.
func galeraGuard(t *testing.T, targets []*open.Database) {
	here, there, ctx := targets[0], targets[1], t.Context()
	execute(t, there, "CREATE TABLE large (id INT AUTO_INCREMENT PRIMARY KEY, n INT, filling CHAR(200) DEFAULT 'x')",
		"INSERT INTO large (n) VALUES (1), (1), (1), (1), (1), (1), (1), (1)")
	for range 12 {
		execute(t, there, "INSERT INTO large (n) SELECT n FROM large")
	}
	lease := rand.Text()
	tried := 0
	for range 30 {
		r := dialect.Request{Key: dialect.Key{Name: rand.Text()}, LeaseID: lease, Owner: rand.Text()}
		grants, err := here.Dialect.Acquire(ctx, []dialect.Request{r})
		if err != nil || !grants[0].Granted {
			t.Fatal(grants, err)
		}
		await(t, "the other node has the lock", patience, func() bool {
			rows, err := there.Dialect.Look(ctx, []dialect.Key{r.Key})
			return err == nil && rows[0].Held
		})
		tx, err := here.DB.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tx.Rollback() })
		guarded, err := here.Dialect.Guard(ctx, tx, []dialect.Claim{{Key: r.Key, Owner: r.Owner}})
		if err != nil || !guarded[0] {
			t.Fatal(guarded, err)
		}
		execute(t, there, "UPDATE large SET n = n + 1")
		freed, err := there.Dialect.Free(ctx, []dialect.Orphan{{Key: r.Key, Fence: grants[0].Fence, LeaseID: lease}})
		if err != nil || !freed[0] {
			t.Fatal(freed, err)
		}
		rows, err := here.Dialect.Look(ctx, []dialect.Key{r.Key})
		if err != nil {
			t.Fatal(err)
		}
		committed := tx.Commit()
		if number(committed) != 1213 {
			t.Fatalf("the guarded transaction's commit after the takeover: %v; want 1213", committed)
		}
		if rows[0].Held { // the takeover hadn't come here
			if tried++; tried == 3 {
				return
			}
		}
	}
	t.Errorf("the node was behind %d times of 30, so this shows little", tried)
}

// galeraSessions: two nodes would give the same name away, so both refuse and say why.
func galeraSessions(t *testing.T, targets []*open.Database) {
	for i, target := range targets {
		var got int
		if err := target.DB.QueryRowContext(t.Context(), "SELECT GET_LOCK('the same', 0)").Scan(&got); err != nil || got != 1 {
			t.Errorf("GET_LOCK on node %d: %d, %v: it doesn't give the same lock away any more", i+1, got, err)
		}
		_, err := target.Dialect.(dialect.SessionLocker).OpenSession(t.Context(), dialect.SessionOptions{})
		mustBeRefused(t, target.Dialect, err, "GET_LOCK is local to one node", "lease lock")
	}
}

// galeraTransactions: row locks are a node's own until the commit.
func galeraTransactions(t *testing.T, targets []*open.Database) {
	lock := dialect.ServerLock{Name: "row lock"}
	for _, wait := range []bool{false, true} {
		tx, err := targets[1].DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := targets[1].Dialect.(dialect.TxLocker).LockTx(t.Context(), tx, lock, wait)
		if got {
			t.Error("given on a cluster")
		}
		mustBeRefused(t, targets[1].Dialect, err, "a row lock is local to one node", "Guard")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	}
	// Two nodes both get what would be the lock.
	const query = "SELECT fence FROM sqllock_locks WHERE name = 'one holder' FOR UPDATE"
	for i, target := range targets[:2] {
		tx, err := target.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tx.Rollback() })
		var fence int64
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		if err := tx.QueryRowContext(ctx, query).Scan(&fence); err != nil {
			t.Errorf("FOR UPDATE on node %d: %v: it does keep others out", i+1, err)
		}
	}
}

func mustBeRefused(t *testing.T, d dialect.Dialect, err error, says ...string) {
	t.Helper()
	if !errors.Is(err, dialect.ErrUnsupported) || d.Classify(err) != dialect.Permanent {
		t.Errorf("%v (class %s), want ErrUnsupported", err, d.Classify(err))
		return
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v: doesn't say %q", err, text)
		}
	}
}

// galeraConflict: a transaction that another node's commit has undone learns of it at its next statement, by 1213.
func galeraConflict(t *testing.T, targets []*open.Database) {
	const update = "UPDATE sqllock_leases SET ttl = ttl + 1 WHERE id = ?"
	id := rand.Text()
	if err := targets[0].Dialect.CreateLease(t.Context(), dialect.Lease{ID: id, Holder: "h", TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	tx, err := targets[0].DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), update, id); err != nil {
		t.Fatal(err)
	}
	await(t, "the other node has the lease", patience, func() bool {
		result, err := targets[1].DB.ExecContext(t.Context(), update, id)
		if err != nil {
			t.Fatal(err)
		}
		n, err := result.RowsAffected()
		return err == nil && n == 1
	})
	err = nil
	await(t, "the transaction was undone", patience, func() bool {
		_, err = tx.ExecContext(t.Context(), "SELECT 1")
		return err != nil
	})
	if number(err) != 1213 || targets[0].Dialect.Classify(err) != dialect.Transient {
		t.Errorf("%v (class %s), want 1213, transient", err, targets[0].Dialect.Classify(err))
	}
}

// galeraCheck: the check says what is refused, and what to use.
func galeraCheck(t *testing.T, targets []*open.Database) {
	findings, err := targets[0].Dialect.(dialect.Checker).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]dialect.Verdict{"cluster": dialect.Notice, "sessions": dialect.Bad, "transaction locks": dialect.Bad}
	for _, f := range findings {
		if verdict, ok := want[f.What]; ok && (f.Verdict != verdict || !strings.Contains(f.Found+f.Advice, "Galera")) {
			t.Errorf("%+v, want %s because of Galera", f, verdict)
		}
		delete(want, f.What)
	}
	if len(want) > 0 {
		t.Errorf("nothing was found of %v", want)
	}
}

// leasesOnly hides the powers that are refused on a cluster.
type leasesOnly struct{ dialect.Dialect }

// galeraConformance runs the suite for lease locks, with further pools on another node.
func galeraConformance(t *testing.T, nodes []*servers.Instance) {
	dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
		urls := nodes[0].Databases(t, nodes[1])
		target := connect(t, urls[0])
		if err := migrations.Up(t.Context(), target.DB, target.Migrations); err != nil {
			t.Fatal(err)
		}
		return dialecttest.Harness{
			Dialect: leasesOnly{target.Dialect},
			DB:      target.DB,
			New:     func(db *sql.DB) dialect.Dialect { return leasesOnly{mysql.New(db)} },
			Open:    func(t *testing.T) *sql.DB { return connect(t, urls[1]).DB },
			Empty:   func(t *testing.T) *sql.DB { return connect(t, nodes[0].Databases(t)[0]).DB },
			Isolation: []sql.IsolationLevel{
				sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable,
			},
			ExclusiveGuards: true,
		}
	})
}

// galeraMinority: one node of three decides nothing, and says so in a way that is tried again elsewhere or later.
func galeraMinority(t *testing.T, nodes []*servers.Instance, targets []*open.Database) {
	nodes[1].Kill()
	nodes[2].Kill()
	d, ctx := targets[0].Dialect, t.Context()
	var err error
	await(t, "the node knows that it is alone", patience, func() bool {
		err = d.CreateLease(ctx, dialect.Lease{ID: rand.Text(), Holder: "h", TTL: time.Minute})
		return number(err) == 1047
	})
	if d.Classify(err) != dialect.Transient {
		t.Errorf("%v is class %s, want transient", err, d.Classify(err))
	}
	_, err = d.Acquire(ctx, []dialect.Request{{Key: dialect.Key{Name: "x"}, LeaseID: "l", Owner: rand.Text()}})
	if number(err) != 1047 || d.Classify(err) != dialect.Transient {
		t.Errorf("Acquire: %v (class %s)", err, d.Classify(err))
	}
	if _, err = d.(dialect.SessionLocker).OpenSession(ctx, dialect.SessionOptions{}); err == nil {
		t.Error("a session was opened")
	}
}
