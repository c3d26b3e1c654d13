package integration

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

const replyTTL = 1500 * time.Millisecond

// A reply is lost after the server has committed. The Client finds out whether its request was
// done; no lock leaks, and none is held twice.
func TestReplyLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, w *lossyClient, n int){
		"acquire": loseAcquire, "acquire_new": loseAcquireNew, "release": loseRelease,
		"renew": loseRenew, "create": loseCreate,
	} {
		t.Run(name, func(t *testing.T) {
			private(t, allServers, func(t *testing.T, engine string) {
				s := servers.Start(t, engine)
				url := database(t, s)
				w := newLossyClient(t, url, false)
				lose(t, w, 1) // on an open connection: the reply of the statement itself
				lost, took := 1, btoi(w.took)
				// Without an open connection: each reply in turn, from those of connecting to the
				// last.
				for n := 1; w.cut; n++ {
					w = newLossyClient(t, url, true)
					lose(t, w, n)
					lost, took = lost+btoi(w.cut), took+btoi(w.took)
				}
				t.Logf("%d replies were lost, %d of them after the commit", lost, took)
				if took == 0 {
					t.Error("no reply was lost after the commit, so this test has shown nothing")
				}
				wantNoLocks(t, w.other, stepTimeout)
			})
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// lossyClient is a Client that may lose replies of its server. It also has ways to the same
// database on which no reply is lost.
type lossyClient struct {
	*sqllock.Client
	target *open.Database // through the proxy
	direct *open.Database
	other  *sqllock.Client // stands for another process; uses direct
	proxy  *proxy
	holder string

	mu   sync.Mutex     // guards the fields below
	hit  string         // the operation of which the next statement loses a reply
	n    int            // which reply of that statement is lost, from 1
	done func() bool    // reports whether the server has done the statement
	cut  bool           // whether there was an n-th reply
	took bool           // whether it was lost after the commit
	seen map[string]int // counts finished statements by operation
}

// newLossyClient returns a client with a lease. It has an open connection unless cold is set.
func newLossyClient(t *testing.T, url string, cold bool) *lossyClient {
	t.Helper()
	w := &lossyClient{direct: connect(t, url), holder: rand.Text(), seen: make(map[string]int)}
	var through string
	w.proxy, through = newProxy(t, url)
	w.target = connect(t, through)
	w.target.DB.SetMaxIdleConns(10)
	faulty := *w.target
	faulty.Dialect = &faultDialect{Dialect: w.target.Dialect, around: w.around}
	w.Client = client(t, &faulty, sqllock.Options{TTL: replyTTL, Holder: w.holder})
	w.other = client(t, w.direct, sqllock.Options{TTL: replyTTL, Holder: "other"})
	acquireAndRelease(t, w.Client, "warm")
	if cold {
		w.target.DB.SetMaxIdleConns(0) // closes the idle connections
		w.target.DB.SetMaxIdleConns(10)
	}
	return w
}

// around runs do, a statement of that operation, and loses a reply of it if [lossyClient.lose]
// asked for that.
func (w *lossyClient) around(operation string, do func()) {
	w.mu.Lock()
	hit := w.hit == operation
	if hit {
		w.hit = ""
		w.proxy.loseReply(w.n, func() {
			took := w.done()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.cut, w.took = true, took
		})
	}
	w.mu.Unlock()
	do()
	if hit {
		w.proxy.spare()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[operation]++
}

// lose makes the n-th reply get lost, counted from the beginning of the operation's next statement.
// done is called when that reply has arrived and the Client has not seen it yet. It reports whether
// the server has done the statement.
func (w *lossyClient) lose(operation string, n int, done func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hit, w.n, w.done, w.cut, w.took = operation, n, done, false, false
}

// resolved checks that the statement that lose waited for has been sent. Afterwards cut and took
// can be read.
func (w *lossyClient) resolved(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit != "" {
		t.Errorf("the Client has sent no statement of operation %q whose reply could be lost", w.hit)
	}
}

// over returns how many statements of that operation are over.
func (w *lossyClient) over(operation string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[operation]
}

// row returns the lock's row, read without the proxy.
func (w *lossyClient) row(t *testing.T, name string) dialect.Row {
	rows, err := w.direct.Dialect.Get(context.Background(), []dialect.Key{{Name: name}})
	if err != nil {
		t.Errorf("reading the row without the proxy: %v", err)
		return dialect.Row{}
	}
	return rows[0]
}

func loseAcquire(t *testing.T, w *lossyClient, n int) {
	name := fmt.Sprintf("acquire/%d", n)
	acquireAndRelease(t, w.other, name) // creates the row
	loseGrant(t, w, name, n)
}

func loseAcquireNew(t *testing.T, w *lossyClient, n int) {
	loseGrant(t, w, fmt.Sprintf("acquire/new/%d", n), n)
}

func loseGrant(t *testing.T, w *lossyClient, name string, n int) {
	t.Helper()
	w.lose("acquire", n, func() bool { return w.row(t, name).Held })
	lock, err := w.Acquire(t.Context(), name)
	w.resolved(t)
	if err != nil {
		t.Fatalf("Acquire, whose reply number %d was lost: %v", n, err)
	}
	if row := w.row(t, name); !row.Held || row.Fence != lock.Fence() {
		t.Errorf("the lock's fence is %d; its row is %+v", lock.Fence(), row)
	}
	mustBeHeld(t, w.other, name)
	mustGuard(t, w.target, lock)
	mustRelease(t, lock)
	if row := w.row(t, name); row.Held {
		t.Errorf("the lock's row after Release: %+v; want it free", row)
	}
}

func loseRelease(t *testing.T, w *lossyClient, n int) {
	name := fmt.Sprintf("release/%d", n)
	lock := mustTry(t, w.Client, name)
	w.lose("release", n, func() bool { return !w.row(t, name).Held })
	err := lock.Release(t.Context())
	w.resolved(t)
	if err != nil {
		t.Errorf("Release, whose reply number %d was lost: %v", n, err)
	}
	next := mustTry(t, w.other, name)
	if next.Fence() <= lock.Fence() {
		t.Errorf("the next holder's fence is %d, not greater than %d", next.Fence(), lock.Fence())
	}
	mustGuard(t, w.direct, next)
	mustRelease(t, next)
}

// loseRenew loses the reply of a heartbeat. The next heartbeat comes soon enough to keep the lock.
func loseRenew(t *testing.T, w *lossyClient, n int) {
	lock := mustTry(t, w.Client, fmt.Sprintf("renew/%d", n))
	w.lose("renew", n, func() bool { return w.row(t, lock.Name()).Remaining > replyTTL*4/5 })
	before := w.over("renew")
	await(t, "four more heartbeats", stepTimeout, func() bool { return w.over("renew") >= before+4 })
	w.resolved(t)
	mustGuard(t, w.target, lock)
	if lock.Context().Err() != nil {
		t.Errorf("the lock was lost: %v", context.Cause(lock.Context()))
	}
	mustRelease(t, lock)
}

// loseCreate loses the reply to the creation of a lease. The Client uses another lease, and the
// first one runs out.
func loseCreate(t *testing.T, w *lossyClient, n int) {
	leases := func() int {
		return scan[int](t, w.direct, "SELECT COUNT(*) FROM sqllock_leases WHERE holder = '"+w.holder+"'")
	}
	ttl := time.Second + time.Duration(n)*time.Millisecond // a Client has a lease for each TTL
	before := leases()
	w.lose("create", n, func() bool { return leases() > before })
	lock, err := w.Acquire(t.Context(), "create", sqllock.WithTTL(ttl))
	w.resolved(t)
	if err != nil {
		t.Fatalf("Acquire under a new lease, whose reply number %d was lost: %v", n, err)
	}
	if unused := leases() - before - 1; unused > 0 != w.took {
		t.Errorf("%d leases are unused; the reply was lost after the commit: %t", unused, w.took)
	}
	mustBeHeld(t, w.other, "create")
	mustGuard(t, w.target, lock)
	mustRelease(t, lock)
	await(t, "the end of the unused lease", stepTimeout, func() bool {
		if _, err := w.other.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		return leases() <= before
	})
}
