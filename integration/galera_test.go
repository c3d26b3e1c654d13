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
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// TestGalera runs all tests of a cluster, one after the other on the same cluster, since forming
// one takes ten seconds. The last test breaks the cluster.
func TestGalera(t *testing.T) {
	t.Parallel()
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
		{"a lock that is transferred", galeraTransfer},
		{"shared locks", galeraShared},
		{"session locks", galeraSessions},
		{"transaction locks", galeraTransactions},
		{"a conflict shows at the next statement", galeraConflict},
		{"an outcome that two nodes claim", galeraOutcome},
		{"check", galeraCheck},
		{"a node that lags behind a migration", galeraMigrated},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, targets) })
	}
	t.Run("conformance", func(t *testing.T) { galeraConformance(t, nodes) })
	t.Run("outside the primary component", func(t *testing.T) { galeraMinority(t, nodes, targets) })
}

// galeraOneHolder lets goroutines on all nodes acquire one lock. At most one of them holds it at a
// time.
func galeraOneHolder(t *testing.T, targets []*open.Database) {
	const goroutines, rounds = 3, 10
	var group sync.WaitGroup
	var inside atomic.Int32
	var last atomic.Int64
	count := 0 // protected by the lock alone
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
						t.Errorf("%d goroutines hold the lock", n)
					}
					count++
					if before := last.Swap(lock.Fence()); before >= lock.Fence() {
						t.Errorf("fence %d is not greater than %d", lock.Fence(), before)
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

// galeraShared checks that shared locks are refused: a node may not have seen yet which readers
// hold the lock through another node. A permit is a row like that of any lock, so semaphores work.
func galeraShared(t *testing.T, targets []*open.Database) {
	c := client(t, targets[0], sqllock.Options{})
	if lock, err := c.RWLock("shared").TryAcquireShared(t.Context()); !errors.Is(err, sqllock.ErrUnsupported) {
		t.Errorf("TryAcquireShared: %v, %v; want ErrUnsupported", lock, err)
	}
	mustRelease(t, mustTry(t, c, "shared", locktest.Permits(2)))
}

// galeraDeadHolder takes over a lock through another node when the holder's lease has run out, and
// no sooner.
func galeraDeadHolder(t *testing.T, targets []*open.Database) {
	d, ctx := targets[0].Dialect, t.Context()
	lease := dialect.Lease{ID: rand.Text(), Holder: "h", TTL: 500 * time.Millisecond}
	if err := d.CreateLease(ctx, lease); err != nil {
		t.Fatal(err)
	}
	key := dialect.Key{Name: "a holder that dies"}
	grants, err := d.Acquire(ctx, []dialect.Request{{Key: key, LeaseID: lease.ID, Owner: rand.Text()}})
	if err != nil || !grants[0].Granted {
		t.Fatal(grants, err)
	}
	started := time.Now()
	lock, err := client(t, targets[2], sqllock.Options{}).Acquire(ctx, key.Name)
	if err != nil {
		t.Fatal(err)
	}
	if passed := time.Since(started); passed < lease.TTL-50*time.Millisecond {
		t.Errorf("the lock was taken over after %s; its lease's TTL was %s", passed, lease.TTL)
	}
	mustRelease(t, lock)
}

// galeraGuard commits a takeover on one node while a guarded transaction is open on another. Even
// if the takeover has not reached that node, the guarded transaction cannot commit there. A node
// that is busy with a large transaction lags behind for as long as that takes.
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
		await(t, "the other node has the lock", stepTimeout, func() bool {
			rows, err := there.Dialect.Get(ctx, []dialect.Key{r.Key})
			return err == nil && rows[0].Held
		})
		tx, err := here.DB.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tx.Rollback() })
		guarded, err := here.Dialect.Guard(ctx, dialect.SQL(tx), []dialect.Claim{{Key: r.Key, Owner: r.Owner}})
		if err != nil || !guarded[0] {
			t.Fatal(guarded, err)
		}
		execute(t, there, "UPDATE large SET n = n + 1")
		dead := dialect.DeadHolder{Key: r.Key, Fence: grants[0].Fence, LeaseID: lease}
		freed, err := there.Dialect.Free(ctx, []dialect.DeadHolder{dead})
		if err != nil || !freed[0] {
			t.Fatal(freed, err)
		}
		rows, err := here.Dialect.Get(ctx, []dialect.Key{r.Key})
		if err != nil {
			t.Fatal(err)
		}
		committed := tx.Commit()
		if number(committed) != 1213 {
			t.Fatalf("the guarded transaction's commit after the takeover: %v; want 1213", committed)
		}
		if rows[0].Held { // the takeover had not reached this node
			if tried++; tried == 3 {
				return
			}
		}
	}
	t.Errorf("the node lagged behind only %d times of 30, so this test shows little", tried)
}

// galeraSessions checks that session locks are refused with the reason: two nodes would both grant
// a lock of one name.
func galeraSessions(t *testing.T, targets []*open.Database) {
	for i, target := range targets {
		var got int
		err := target.DB.QueryRowContext(t.Context(), "SELECT GET_LOCK('the same', 0)").Scan(&got)
		if err != nil || got != 1 {
			t.Errorf("GET_LOCK on node %d: %d, %v: the nodes no longer both grant the same lock", i+1, got, err)
		}
		_, err = target.Dialect.(dialect.SessionLocker).OpenSession(t.Context(), dialect.SessionOptions{})
		mustBeRefused(t, target.Dialect, err, "GET_LOCK is local to one node", "lease lock")
	}
}

// galeraTransactions checks that transaction locks are refused: row locks are local to a node until
// the commit.
func galeraTransactions(t *testing.T, targets []*open.Database) {
	lock := dialect.ServerLock{Name: "row lock"}
	for _, wait := range []bool{false, true} {
		tx, err := targets[1].DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := targets[1].Dialect.(dialect.TxLocker).LockTx(t.Context(), dialect.SQL(tx), lock, wait)
		if got {
			t.Error("a transaction lock was granted on a cluster")
		}
		mustBeRefused(t, targets[1].Dialect, err, "a row lock is local to one node", "Guard")
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	}
	// Two nodes both get the row lock that would be the transaction lock.
	const query = "SELECT fence FROM sqllock_locks WHERE name = 'one holder' FOR UPDATE"
	for i, target := range targets[:2] {
		tx, err := target.DB.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tx.Rollback() })
		var fence int64
		ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
		t.Cleanup(cancel)
		if err := tx.QueryRowContext(ctx, query).Scan(&fence); err != nil {
			t.Errorf("FOR UPDATE on node %d: %v: it does exclude other nodes", i+1, err)
		}
	}
}

// mustBeRefused checks that err is a permanent ErrUnsupported whose text contains all of texts.
func mustBeRefused(t *testing.T, d dialect.Dialect, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, dialect.ErrUnsupported) || d.Classify(err) != dialect.ClassPermanent {
		t.Errorf("%v (class %s), want ErrUnsupported", err, d.Classify(err))
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error %q does not contain %q", err, text)
		}
	}
}

// galeraConflict checks that the next statement of a transaction fails with error 1213 after
// another node's commit has rolled the transaction back.
func galeraConflict(t *testing.T, targets []*open.Database) {
	const update = "UPDATE sqllock_leases SET ttl = ttl + 1 WHERE id = ?"
	id := rand.Text()
	lease := dialect.Lease{ID: id, Holder: "h", TTL: time.Hour}
	if err := targets[0].Dialect.CreateLease(t.Context(), lease); err != nil {
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
	await(t, "the other node has the lease", stepTimeout, func() bool {
		result, err := targets[1].DB.ExecContext(t.Context(), update, id)
		if err != nil {
			t.Fatal(err)
		}
		n, err := result.RowsAffected()
		return err == nil && n == 1
	})
	err = nil
	await(t, "the transaction's rollback", stepTimeout, func() bool {
		_, err = tx.ExecContext(t.Context(), "SELECT 1")
		return err != nil
	})
	if number(err) != 1213 || targets[0].Dialect.Classify(err) != dialect.ClassTransient {
		t.Errorf("%v (class %s), want 1213, transient", err, targets[0].Dialect.Classify(err))
	}
}

// galeraCheck checks that Check reports what is refused, and what to use instead.
func galeraCheck(t *testing.T, targets []*open.Database) {
	wantClocksCompared(t, targets)
	findings, err := targets[0].Dialect.(dialect.Checker).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]dialect.Verdict{
		"cluster": dialect.VerdictNotice, "sessions": dialect.VerdictBad, "transaction locks": dialect.VerdictBad,
	}
	for _, f := range findings {
		if verdict, ok := want[f.What]; ok && (f.Verdict != verdict || !strings.Contains(f.Found+f.Advice, "Galera")) {
			t.Errorf("finding %+v, want %s because of Galera", f, verdict)
		}
		delete(want, f.What)
	}
	if len(want) > 0 {
		t.Errorf("Check has no findings of %v", want)
	}
}

// galeraMigrated opens a client on a node that has not yet applied the end of a migration that ran
// through another node. The client waits for that, and does not report a migration that failed.
func galeraMigrated(t *testing.T, targets []*open.Database) {
	const set = "UPDATE sqllock_schema_migrations SET dirty = "
	here, there := targets[0], targets[1]
	dirty := func(target *open.Database) bool {
		return scan[bool](t, target, "SELECT dirty FROM sqllock_schema_migrations")
	}
	execute(t, there, set+"TRUE")
	await(t, "the beginning of the migration", stepTimeout, func() bool { return dirty(here) })
	conn, err := here.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK"); err != nil { // applies nothing now
		t.Fatal(err)
	}
	execute(t, there, set+"FALSE")
	if !dirty(here) {
		t.Error("the node does not lag behind, so this test shows nothing")
	}
	opened := make(chan error, 1)
	go func() {
		c, err := sqllock.New(t.Context(), here.Dialect, nil)
		if err == nil {
			err = c.Close(t.Context())
		}
		opened <- err
	}()
	await(t, "the client's wait", stepTimeout, func() bool {
		return scan[int](t, here, "SELECT COUNT(*) FROM information_schema.processlist "+
			"WHERE info LIKE 'SET STATEMENT wsrep_sync_wait%sqllock_schema_migrations%'") == 1
	})
	if _, err := conn.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// leasesOnly hides the optional interfaces that a cluster refuses.
type leasesOnly struct{ dialect.Dialect }

// galeraConformance runs the conformance suite for lease locks. Its further pools use another node.
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

// galeraMinority checks that one node of three refuses every statement, with an error that is
// classified as transient, so that the caller tries again elsewhere or later.
func galeraMinority(t *testing.T, nodes []*servers.Instance, targets []*open.Database) {
	nodes[1].Kill()
	nodes[2].Kill()
	d, ctx := targets[0].Dialect, t.Context()
	var err error
	await(t, "the node to notice that it is alone", stepTimeout, func() bool {
		err = d.CreateLease(ctx, dialect.Lease{ID: rand.Text(), Holder: "h", TTL: time.Minute})
		return number(err) == 1047
	})
	if d.Classify(err) != dialect.ClassTransient {
		t.Errorf("%v is class %s, want transient", err, d.Classify(err))
	}
	_, err = d.Acquire(ctx, []dialect.Request{{Key: dialect.Key{Name: "x"}, LeaseID: "l", Owner: rand.Text()}})
	if number(err) != 1047 || d.Classify(err) != dialect.ClassTransient {
		t.Errorf("Acquire: %v (class %s), want 1047, transient", err, d.Classify(err))
	}
	if _, err = d.(dialect.SessionLocker).OpenSession(ctx, dialect.SessionOptions{}); err == nil {
		t.Error("OpenSession succeeded on a node outside the primary component")
	}
}
