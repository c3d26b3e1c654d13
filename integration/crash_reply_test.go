package integration

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

const replyTTL = 1500 * time.Millisecond

// A reply is lost after the server has committed: the Client finds out what became of its request, no lock leaks and
// none is held twice.
func TestReplyLost(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, w *lossyClient, n int){
		"acquire": loseAcquire, "acquire_new": loseAcquireNew, "release": loseRelease, "renew": loseRenew, "create": loseCreate,
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *servers.Server) {
				url := database(t, s)
				w := newLossyClient(t, url, false)
				lose(t, w, 1) // with a connection that is there already: the statement's own
				lost, took := 1, btoi(w.took)
				for n := 1; w.cut; n++ { // and now those of making a connection, of preparing, and so on, to the last
					w = newLossyClient(t, url, true)
					lose(t, w, n)
					lost, took = lost+btoi(w.cut), took+btoi(w.took)
				}
				t.Logf("%d replies were lost, %d of them after the commit", lost, took)
				if took == 0 {
					t.Error("no reply was lost after the commit: this has shown nothing")
				}
				nothingLeft(t, w.other, patience)
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

// lossyClient is a Client whose server's replies can be lost, and the same database without that.
type lossyClient struct {
	*sqllock.Client
	target *open.Database // through the proxy
	direct *open.Database
	other  *sqllock.Client // another process's, on direct
	proxy  *proxy
	holder string

	mu   sync.Mutex // guards what follows
	hit  string     // the operation whose next statement is hit
	n    int        // how many replies later
	done func() bool
	cut  bool           // there was such a reply
	took bool           // and it was lost after the commit
	seen map[string]int // statements that are over
}

// newLossyClient has a connection and a lease; or a lease, and no connection any more.
func newLossyClient(t *testing.T, url string, cold bool) *lossyClient {
	t.Helper()
	w := &lossyClient{direct: connect(t, url), holder: rand.Text(), seen: make(map[string]int)}
	var through string
	w.proxy, through = newProxy(t, url)
	w.target = connect(t, through)
	w.target.DB.SetMaxIdleConns(10)
	tapped := *w.target
	tapped.Dialect = &tap{Dialect: w.target.Dialect, around: w.around}
	w.Client = client(t, &tapped, sqllock.Options{TTL: replyTTL, Holder: w.holder})
	w.other = client(t, w.direct, sqllock.Options{TTL: replyTTL, Holder: "other"})
	acquireAndRelease(t, w.Client, "warm")
	if cold {
		w.target.DB.SetMaxIdleConns(0) // closes them
		w.target.DB.SetMaxIdleConns(10)
	}
	return w
}

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

// lose loses the n-th reply from the beginning of the operation's next statement. done tells, when that reply has
// arrived and the Client doesn't know yet, whether the server has done it.
func (w *lossyClient) lose(operation string, n int, done func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hit, w.n, w.done, w.cut, w.took = operation, n, done, false, false
}

// settled ends what lose began. From then on cut and took can be read.
func (w *lossyClient) settled(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit != "" {
		t.Errorf("there was no statement of operation %q to be hit", w.hit)
	}
}

// over is how many statements of that operation are over.
func (w *lossyClient) over(operation string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[operation]
}

// row is the lock's row as it really is.
func (w *lossyClient) row(t *testing.T, name string) dialect.Row {
	rows, err := w.direct.Dialect.Look(context.Background(), []dialect.Key{{Name: name}})
	if err != nil {
		t.Errorf("looking past the proxy: %v", err)
		return dialect.Row{}
	}
	return rows[0]
}

func loseAcquire(t *testing.T, w *lossyClient, n int) {
	name := fmt.Sprintf("acquire/%d", n)
	acquireAndRelease(t, w.other, name) // makes the row
	loseGrant(t, w, name, n)
}

func loseAcquireNew(t *testing.T, w *lossyClient, n int) {
	loseGrant(t, w, fmt.Sprintf("acquire/new/%d", n), n)
}

func loseGrant(t *testing.T, w *lossyClient, name string, n int) {
	t.Helper()
	w.lose("acquire", n, func() bool { return w.row(t, name).Held })
	lock, err := w.Acquire(t.Context(), name)
	w.settled(t)
	if err != nil {
		t.Fatalf("Acquire, %d replies until the lost one: %v", n, err)
	}
	if row := w.row(t, name); !row.Held || row.Fence != lock.Fence() {
		t.Errorf("the lock's fence is %d; its row is %+v", lock.Fence(), row)
	}
	mustBeHeld(t, w.other, name)
	mustGuard(t, w.target, lock)
	mustRelease(t, lock)
	if row := w.row(t, name); row.Held {
		t.Errorf("after its release: %+v", row)
	}
}

func loseRelease(t *testing.T, w *lossyClient, n int) {
	name := fmt.Sprintf("release/%d", n)
	lock := mustTry(t, w.Client, name)
	w.lose("release", n, func() bool { return !w.row(t, name).Held })
	err := lock.Release(t.Context())
	w.settled(t)
	if err != nil {
		t.Errorf("Release, %d replies until the lost one: %v", n, err)
	}
	next := mustTry(t, w.other, name)
	if next.Fence() <= lock.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), lock.Fence())
	}
	mustGuard(t, w.direct, next)
	mustRelease(t, next)
}

// A heartbeat's reply is lost: the next one comes soon enough.
func loseRenew(t *testing.T, w *lossyClient, n int) {
	lock := mustTry(t, w.Client, fmt.Sprintf("renew/%d", n))
	w.lose("renew", n, func() bool { return w.row(t, lock.Name()).Remaining > replyTTL*4/5 })
	before := w.over("renew")
	await(t, "four more heartbeats", patience, func() bool { return w.over("renew") >= before+4 })
	w.settled(t)
	mustGuard(t, w.target, lock)
	if lock.Context().Err() != nil {
		t.Errorf("the lock was lost: %v", context.Cause(lock.Context()))
	}
	mustRelease(t, lock)
}

// A new lease's reply is lost: another one is used, and the first runs out.
func loseCreate(t *testing.T, w *lossyClient, n int) {
	leases := func() int {
		return scan[int](t, w.direct, "SELECT COUNT(*) FROM sqllock_leases WHERE holder = '"+w.holder+"'")
	}
	ttl := time.Second + time.Duration(n)*time.Millisecond // each TTL is a lease of its own
	before := leases()
	w.lose("create", n, func() bool { return leases() > before })
	lock, err := w.Acquire(t.Context(), "create", sqllock.WithTTL(ttl))
	w.settled(t)
	if err != nil {
		t.Fatalf("Acquire under a new lease, %d replies until the lost one: %v", n, err)
	}
	if orphans := leases() - before - 1; orphans > 0 != w.took {
		t.Errorf("%d leases too many; the reply that was lost came after the commit: %v", orphans, w.took)
	}
	mustBeHeld(t, w.other, "create")
	mustGuard(t, w.target, lock)
	mustRelease(t, lock)
	await(t, "the end of the lease that nobody uses", patience, func() bool {
		if _, err := w.other.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		return leases() <= before
	})
}
