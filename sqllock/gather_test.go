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

// together takes n locks of different names at the same time, and lets them go at the same time.
func together(t *testing.T, c *sqllock.Client, n int) {
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

// Those who ask while a statement is under way go together in the next one.
func TestGroupCommit(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		db.Delay(sqllocktest.OpAcquire, 10*time.Millisecond)
		db.Delay(sqllocktest.OpRelease, 10*time.Millisecond)
		acquires, releases := db.Calls(sqllocktest.OpAcquire), db.Calls(sqllocktest.OpRelease)
		start := time.Now()
		together(t, c, 200)
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

// Who asks by himself waits for nobody, and nobody's statement is another's.
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

// A caller who leaves takes nobody with him, and leaves nothing behind.
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

// picky is a database that refuses every statement in which there is a certain lock.
type picky struct{ *sqllocktest.Dialect }

func (d picky) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	for _, r := range requests {
		if r.Name == "lock 7" {
			return nil, fmt.Errorf("%w: not this one", dialect.ErrInvalid)
		}
	}
	return d.Dialect.Acquire(ctx, requests)
}

// One that is refused doesn't take the others with it.
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

// Replies are lost, of statements of one and of many: all is found out in the end, and nothing leaks.
func TestGroupCommitReplyLost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		mustRelease(t, mustTry(t, c, "warm"))
		db.Delay(sqllocktest.OpAcquire, 10*time.Millisecond)
		db.Delay(sqllocktest.OpRelease, 10*time.Millisecond)
		db.LoseReplies(sqllocktest.OpAcquire, 3)
		db.LoseReplies(sqllocktest.OpRelease, 3)
		together(t, c, 100)
		time.Sleep(time.Minute)
		for info, err := range c.Locks(t.Context()) {
			t.Errorf("left behind: %+v, %v", info, err)
		}
	})
}

// stuck is a database in which a release of a certain lock waits behind a guard, for as long as it is asked for alone.
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

// One that waits behind a guard keeps nobody waiting.
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
					time.Sleep(time.Millisecond) // it is under way, alone
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

// lonely is a cluster, where a statement of several can fail for ever.
type lonely struct{ picky }

func (d lonely) Probe(ctx context.Context) (dialect.Server, error) {
	server, err := d.picky.Probe(ctx)
	server.Alone = true
	return server, err
}

func (d lonely) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if len(requests) > 1 {
		return nil, &sqllocktest.Error{Class: dialect.Transient}
	}
	return d.picky.Acquire(ctx, requests)
}

// Where several may fail for ever, each goes alone, and waits for no other.
func TestAloneOnACluster(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, lonely{picky{db}}, "a")
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

// The reply to those who had gone together is lost: each asks for the same again, and has it.
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
