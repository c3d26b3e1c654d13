package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func mustSession(t *testing.T, c *sqllock.Client, name string) *sqllock.SessionLock {
	t.Helper()
	lock, err := c.Session(name).TryAcquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func mustShare(t *testing.T, c *sqllock.Client, name string) *sqllock.SessionLock {
	t.Helper()
	lock, err := c.Session(name).TryAcquireShared(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func sessionHeld(t *testing.T, c *sqllock.Client, name string) *sqllock.HeldError {
	t.Helper()
	_, err := c.Session(name).TryAcquire(context.Background())
	held, ok := errors.AsType[*sqllock.HeldError](err)
	if !ok {
		t.Fatalf("session lock %q: %v; want a *HeldError", name, err)
	}
	return held
}

func TestSessionLock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustSession(t, a, "job")
		if lock.Name() != "job" {
			t.Errorf("name %q", lock.Name())
		}
		if held := sessionHeld(t, b, "job"); held.Holder != "a" || held.Self {
			t.Errorf("held by %+v", held)
		}
		if held := sessionHeld(t, a, "job"); !held.Self {
			t.Errorf("this process's own lock: %+v", held)
		}
		mustRelease(t, mustTry(t, b, "job")) // a lease lock of that name is another lock
		mustRelease(t, lock)
		wantErr(t, "second release", lock.Release(t.Context()), sqllock.ErrNotHeld)
		wantErr(t, "cause", context.Cause(lock.Context()), sqllock.ErrNotHeld)
		mustRelease(t, mustSession(t, b, "job"))
	})
}

func TestSessionLocksShareAConnection(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		mustRelease(t, mustSession(t, a, "first")) // and the rival of the probe
		before := db.Calls(sqllocktest.OpOpenSession)
		var locks []*sqllock.SessionLock
		for i := range 1000 {
			locks = append(locks, mustSession(t, a, fmt.Sprint("lock ", i)))
		}
		for _, lock := range locks {
			mustRelease(t, lock)
		}
		if n := db.Calls(sqllocktest.OpOpenSession) - before; n != 0 {
			t.Errorf("%d more connections", n)
		}
		time.Sleep(time.Minute) // nobody uses it
		pings := db.Calls(sqllocktest.OpPing)
		time.Sleep(time.Minute)
		if n := db.Calls(sqllocktest.OpPing) - pings; n != 0 {
			t.Errorf("an idle connection was kept: %d pings", n)
		}
		mustRelease(t, mustSession(t, a, "last"))
	})
}

func TestSessionLost(t *testing.T) {
	for name, ruin := range map[string]func(*sqllocktest.Dialect){
		"closed":  (*sqllocktest.Dialect).CutSessions,
		"silence": func(db *sqllocktest.Dialect) { db.Delay(sqllocktest.OpPing, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a := client(t, db, "a", func(o *sqllock.Options) { o.KeepAlive = 3 * time.Second })
				first, second := mustSession(t, a, "one"), mustSession(t, a, "two")
				row := mustTry(t, a, "one")
				ruin(db)
				endsWithin(t, first, 0, 3*time.Second, sqllock.ErrLost)
				endsWithin(t, second, 0, time.Millisecond, sqllock.ErrLost)
				wantErr(t, "release", first.Release(t.Context()), sqllock.ErrLost)
				if err := context.Cause(row.Context()); err != nil {
					t.Errorf("a lease lock went with the session: %v", err)
				}
				db.Delay(sqllocktest.OpPing, 0)
				synctest.Wait()                          // the old connection is closed in the background
				mustRelease(t, mustSession(t, a, "one")) // on a new connection
			})
		})
	}
}

// A release that nobody confirms ends the connection, and with it the lock.
func TestSessionReleaseUnconfirmed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock, other := mustSession(t, a, "job"), mustSession(t, a, "other")
		db.FailNext(sqllocktest.OpUnlock, 1, dialect.ClassUnknown)
		if err := lock.Release(t.Context()); err == nil {
			t.Error("an unconfirmed release is no error")
		}
		endsWithin(t, other, 0, time.Millisecond, sqllock.ErrLost)
		mustRelease(t, mustSession(t, b, "job"))
		mustRelease(t, mustSession(t, b, "other"))
	})
}

// A grant whose reply was lost is released, by closing the connection if necessary. The same call
// still gets the lock.
func TestSessionReplyLost(t *testing.T) {
	for name, unlock := range map[string]int{"connection lives": 0, "connection fails": 1} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a"), client(t, db, "b")
				mustRelease(t, mustSession(t, a, "warm"))
				db.LoseReplies(sqllocktest.OpTryLock, 1)
				db.FailNext(sqllocktest.OpUnlock, unlock, dialect.ClassUnknown)
				lock, err := a.Session("job").TryAcquire(t.Context())
				if unlock > 0 && err != nil {
					t.Fatalf("not on the next connection: %v", err)
				}
				if err == nil {
					mustRelease(t, lock)
				}
				mustRelease(t, mustSession(t, b, "job"))
			})
		})
	}
}

func TestSessionShared(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		one, two := mustShare(t, a, "doc"), mustShare(t, a, "doc")
		three := mustShare(t, b, "doc")
		sessionHeld(t, a, "doc")
		sessionHeld(t, b, "doc")
		mustRelease(t, one)
		mustRelease(t, three)
		sessionHeld(t, b, "doc")
		mustRelease(t, two)
		alone := mustSession(t, b, "doc")
		_, err := a.Session("doc").TryAcquireShared(t.Context())
		wantErr(t, "shared while b has it alone", err, sqllock.ErrNotAcquired)
		mustRelease(t, alone)
	})
}

func TestSessionWaits(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustSession(t, a, "job")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := b.Session("job").Acquire(ctx)
		wantErr(t, "Acquire", err, sqllock.ErrNotAcquired)
		wantErr(t, "Acquire", err, context.DeadlineExceeded)

		var group sync.WaitGroup
		var inside, most int
		var mu sync.Mutex
		for _, c := range []*sqllock.Client{a, a, b, b} {
			group.Go(func() {
				err := c.Session("job").Do(t.Context(), func(context.Context, *sqllock.SessionLock) error {
					mu.Lock()
					inside++
					most = max(most, inside)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					inside--
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		mustRelease(t, lock)
		group.Wait()
		if most != 1 {
			t.Errorf("%d at the same time", most)
		}
	})
}

// A caller that leaves while the server is asked leaves no lock behind.
func TestSessionCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		mustRelease(t, mustSession(t, a, "warm"))
		db.Delay(sqllocktest.OpTryLock, time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := a.Session("job").Acquire(ctx)
		wantErr(t, "Acquire", err, context.DeadlineExceeded)
		db.Delay(sqllocktest.OpTryLock, 0)
		time.Sleep(2 * time.Second)
		mustRelease(t, mustSession(t, b, "job"))
	})
}

// liar is a database that grants everybody every session lock.
type liar struct{ *sqllocktest.Dialect }

type lie struct{ dialect.Session }

func (d liar) OpenSession(ctx context.Context, o dialect.SessionOptions) (dialect.Session, error) {
	s, err := d.Dialect.OpenSession(ctx, o)
	return lie{s}, err
}

func (lie) TryLock(_ context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return []bool{true}, nil
}

func TestSessionStub(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, liar{db}, "a")
		_, err := a.Session("job").TryAcquire(t.Context())
		wantErr(t, "a lock that isn't one", err, sqllock.ErrUnsupported)
		mustRelease(t, mustTry(t, a, "job"))
	})
}

// leasesOnly hides what else the database can do.
type leasesOnly struct{ dialect.Dialect }

func TestSessionUnsupported(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, leasesOnly{db}, "a")
		_, err := a.Session("job").TryAcquire(t.Context())
		wantErr(t, "no session locks", err, sqllock.ErrUnsupported)
		wantErr(t, "AcquireTx without a transaction", a.AcquireTx(t.Context(), nil, "job"), sqllock.ErrInvalid)
	})
}

func TestSessionOptions(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		_, err := a.Session("job").Acquire(t.Context(), nil)
		wantErr(t, "a nil option", err, sqllock.ErrInvalid)
		_, err = a.Session("").TryAcquire(t.Context())
		wantErr(t, "no name", err, sqllock.ErrInvalid)
		for _, d := range []time.Duration{-1, time.Millisecond, 25 * time.Hour} {
			_, err := sqllock.New(t.Context(), db, &sqllock.Options{KeepAlive: d})
			wantErr(t, d.String(), err, sqllock.ErrInvalid)
		}
	})
}
