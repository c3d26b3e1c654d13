package sqllock_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// acquireTogether acquires n locks of different names at the same time, and releases them at the
// same time.
func acquireTogether(t *testing.T, c *sqllock.Client, n int) {
	t.Helper()
	locks := make([]*sqllock.Lock, n)
	var group sync.WaitGroup
	for i := range locks {
		group.Go(func() {
			lock, err := c.TryAcquire(t.Context(), fmt.Sprint("lock ", i))
			if err != nil {
				t.Error(err)
				return
			}
			locks[i] = lock
		})
	}
	group.Wait()
	for _, lock := range locks {
		group.Go(func() {
			if lock == nil {
				return
			}
			if err := lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// Calls that arrive while a statement is in flight are sent together in the next one.
func TestGroupCommit(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		db.Delay(sqllocktest.OpAcquire, 10*time.Millisecond)
		db.Delay(sqllocktest.OpRelease, 10*time.Millisecond)
		acquires, releases := db.Calls(sqllocktest.OpAcquire), db.Calls(sqllocktest.OpRelease)
		start := time.Now()
		acquireTogether(t, c, 200)
		if n := db.Calls(sqllocktest.OpAcquire) - acquires; n != 2 {
			t.Errorf("200 locks were asked for in %d statements; want 2: the first one's, and the others'", n)
		}
		if n := db.Calls(sqllocktest.OpRelease) - releases; n != 2 {
			t.Errorf("200 locks were released in %d statements; want 2", n)
		}
		if d := time.Since(start); d != 40*time.Millisecond {
			t.Errorf("it took %s; want four statements' time", d)
		}
	})
}

// A call alone does not wait for others, and is not sent with them.
func TestNoWaitForCompany(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		start := time.Now()
		for range 10 {
			mustRelease(t, mustTry(t, c, "job"))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it took %s", d)
		}
		if a, r := db.Calls(sqllocktest.OpAcquire), db.Calls(sqllocktest.OpRelease); a != 10 || r != 10 {
			t.Errorf("%d acquires, %d releases", a, r)
		}
	})
}

// A caller that leaves doesn't affect the others of its batch, and leaves nothing behind.
func TestGroupCommitCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		db.Delay(sqllocktest.OpAcquire, 10*time.Millisecond)
		var group sync.WaitGroup
		for i := range 60 {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%30)*time.Millisecond)
				defer cancel()
				lock, err := c.TryAcquire(ctx, fmt.Sprint("lock ", i))
				switch {
				case err == nil:
					mustRelease(t, lock)
				case i%30 > 21: // two statements' time, and one more millisecond
					t.Errorf("lock %d: %v", i, err)
				default:
					wantErr(t, "TryAcquire", err, context.DeadlineExceeded)
				}
			})
		}
		group.Wait()
		time.Sleep(time.Second)
		for info, err := range c.Locks(t.Context()) {
			t.Errorf("left behind: %+v, %v", info, err)
		}
	})
}

// picky is a database that refuses every statement that contains a certain lock.
type picky struct{ *sqllocktest.Dialect }

func (d picky) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	for _, r := range requests {
		if r.Name == "lock 7" {
			return nil, fmt.Errorf("%w: not this one", dialect.ErrInvalid)
		}
	}
	return d.Dialect.Acquire(ctx, requests)
}

// A call that is refused doesn't fail the others of its batch.
func TestGroupCommitRefused(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, picky{db}, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		db.Delay(sqllocktest.OpAcquire, 10*time.Millisecond)
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				lock, err := c.TryAcquire(t.Context(), fmt.Sprint("lock ", i))
				switch {
				case i == 7:
					wantErr(t, "what is refused", err, sqllock.ErrInvalid)
				case err != nil:
					t.Error(err)
				default:
					mustRelease(t, lock)
				}
			})
		}
		group.Wait()
	})
}

// Replies to single statements and to batches are lost. All outcomes are found out in the end, and
// nothing is left behind.
func TestGroupCommitReplyLost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		db.Delay(sqllocktest.OpAcquire, 10*time.Millisecond)
		db.Delay(sqllocktest.OpRelease, 10*time.Millisecond)
		db.LoseReplies(sqllocktest.OpAcquire, 3)
		db.LoseReplies(sqllocktest.OpRelease, 3)
		acquireTogether(t, c, 100)
		time.Sleep(time.Minute)
		for info, err := range c.Locks(t.Context()) {
			t.Errorf("left behind: %+v, %v", info, err)
		}
	})
}

// stuck is a database in which a release of a certain lock, if it is sent alone, waits behind a
// guard.
type stuck struct {
	*sqllocktest.Dialect
	guard chan struct{}
}

func (d stuck) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if len(claims) == 1 && claims[0].Name == "lock 0" {
		<-d.guard
	}
	var others []dialect.Claim
	for _, c := range claims {
		if len(claims) == 1 || c.Name != "lock 0" {
			others = append(others, c)
		}
	}
	answers, err := d.Dialect.Release(ctx, others)
	if err != nil || len(others) == len(claims) {
		return answers, err
	}
	all := make([]bool, len(claims))
	next := 0
	for i, c := range claims {
		if c.Name != "lock 0" {
			all[i] = answers[next]
			next++
		}
	}
	return all, nil
}

// A release that waits behind a guard doesn't delay others.
func TestGroupCommitBehindAGuard(t *testing.T) {
	for name, first := range map[string]bool{"alone": true, "among others": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				way := stuck{db, make(chan struct{})}
				c := client(t, way, "a")
				db.Delay(sqllocktest.OpRelease, 10*time.Millisecond)
				var locks []*sqllock.Lock
				for i := range 50 {
					locks = append(locks, mustTry(t, c, fmt.Sprint("lock ", i)))
				}
				other := mustTry(t, c, "other")
				var others, guarded sync.WaitGroup
				release := func(lock *sqllock.Lock) func() { return func() { mustRelease(t, lock) } }
				if !first {
					others.Go(release(other))
					time.Sleep(time.Millisecond) // it is in flight, alone
				}
				guarded.Go(release(locks[0]))
				time.Sleep(time.Millisecond)
				start := time.Now()
				for _, lock := range locks[1:] {
					others.Go(release(lock))
				}
				others.Wait()
				if d := time.Since(start); d > 50*time.Millisecond {
					t.Errorf("the others waited for %s", d)
				}
				close(way.guard)
				guarded.Wait()
			})
		})
	}
}

// singleRows is a cluster, where a statement with several rows can fail permanently.
type singleRows struct{ picky }

func (d singleRows) Probe(ctx context.Context) (dialect.Server, error) {
	server, err := d.picky.Probe(ctx)
	server.SingleRowOnly = true
	return server, err
}

func (d singleRows) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if len(requests) > 1 {
		return nil, &sqllocktest.Error{Class: dialect.ClassTransient}
	}
	return d.picky.Acquire(ctx, requests)
}

// If statements with several rows may fail permanently, each call is sent alone and waits for no
// other.
func TestAloneOnACluster(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, singleRows{picky{db}}, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		db.Delay(sqllocktest.OpAcquire, 10*time.Millisecond)
		start := time.Now()
		var group sync.WaitGroup
		for i := range 6 {
			group.Go(func() { mustRelease(t, mustTry(t, c, fmt.Sprint("job ", i))) })
		}
		group.Wait()
		if d := time.Since(start); d != 10*time.Millisecond {
			t.Errorf("it took %s; want one statement's time", d)
		}
	})
}

// The reply to a batch is lost. Each call is sent again with the same owner token, and is granted.
func TestGroupCommitAsksForTheSameAgain(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		db.Delay(sqllocktest.OpAcquire, 10*time.Millisecond)
		var group sync.WaitGroup
		take := func(name string) { group.Go(func() { mustRelease(t, mustTry(t, c, name)) }) }
		take("alone")
		time.Sleep(time.Millisecond)
		db.LoseReplies(sqllocktest.OpAcquire, 1)
		for i := range 5 {
			take(fmt.Sprint("together ", i))
		}
		group.Wait()
	})
}

// counting counts the statements of waiters, and of acquisitions and releases, that are in flight
// at once.
type counting struct {
	*sqllocktest.Dialect
	mu        sync.Mutex
	now, most int
}

func (d *counting) in() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now++
	d.most = max(d.most, d.now)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.now--
	}
}

func (d *counting) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	defer d.in()()
	return d.Dialect.Acquire(ctx, requests)
}

func (d *counting) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	defer d.in()()
	return d.Dialect.Release(ctx, claims)
}

func (d *counting) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	defer d.in()()
	return d.Dialect.Get(ctx, keys)
}

func (d *counting) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	defer d.in()()
	return d.Dialect.Enqueue(ctx, waiters)
}

func (d *counting) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	defer d.in()()
	return d.Dialect.Dequeue(ctx, claims)
}

// Waiters need no more connections than other callers: two, which a pool keeps open by default.
// Those that come, wait and give up at the same time share statements.
func TestWaitersTogether(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		const waiters = 100
		other := client(t, db, "other")
		for i := range waiters {
			mustTry(t, other, fmt.Sprint("lock ", i))
		}
		d := &counting{Dialect: db}
		c := client(t, d, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		for _, op := range []sqllocktest.Op{
			sqllocktest.OpAcquire, sqllocktest.OpRelease, sqllocktest.OpGet,
			sqllocktest.OpEnqueue, sqllocktest.OpDequeue,
		} {
			db.Delay(op, time.Millisecond)
		}
		enqueues, dequeues := db.Calls(sqllocktest.OpEnqueue), db.Calls(sqllocktest.OpDequeue)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range waiters {
			group.Go(func() {
				_, err := c.Acquire(ctx, fmt.Sprint("lock ", i))
				wantErr(t, "Acquire", err, context.Canceled)
			})
		}
		time.Sleep(900 * time.Millisecond)
		cancel()
		group.Wait()
		time.Sleep(time.Second)
		enqueues, dequeues = db.Calls(sqllocktest.OpEnqueue)-enqueues, db.Calls(sqllocktest.OpDequeue)-dequeues
		if d.most > 2 || enqueues > 10 || dequeues > 10 {
			t.Errorf("%d waiters came in %d statements and left in %d, up to %d statements at once",
				waiters, enqueues, dequeues, d.most)
		}
		if queue, err := other.Queue(t.Context(), "lock 1"); err != nil || len(queue) > 0 {
			t.Errorf("left behind: %+v, %v", queue, err)
		}
	})
}
