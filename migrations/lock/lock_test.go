package lock_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// leasesOnly is a database without session locks.
type leasesOnly struct{ dialect.Dialect }

// bubble runs f in a synctest bubble with an empty in-memory database, once with session locks and
// once without.
func bubble(t *testing.T, f func(t *testing.T, db *sqllocktest.Dialect, d dialect.Dialect, kind lock.Kind)) {
	t.Helper()
	for _, kind := range []lock.Kind{lock.Session, lock.Lease} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := sqllocktest.New()
				if kind == lock.Session {
					f(t, db, db, kind)
					return
				}
				f(t, db, leasesOnly{db}, kind)
			})
		})
	}
}

// options returns options with a logger that discards everything.
func options(holder string, more ...func(*lock.Options)) *lock.Options {
	o := &lock.Options{Holder: holder, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range more {
		f(o)
	}
	return o
}

func take(t *testing.T, d dialect.Dialect, o *lock.Options) *lock.Held {
	t.Helper()
	held, err := lock.Take(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func release(t *testing.T, held *lock.Held) {
	t.Helper()
	if err := held.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// Auto takes the kind that works. The next process waits, is called back once with the holder, and
// then gets the lock.
func TestOneAfterTheOther(t *testing.T) {
	bubble(t, func(t *testing.T, _ *sqllocktest.Dialect, d dialect.Dialect, kind lock.Kind) {
		var prepared, chosen int
		first := take(t, d, options("a", func(o *lock.Options) {
			o.Prepare = func(context.Context) error { prepared++; return nil }
			o.Chosen = func(k lock.Kind, why error) {
				chosen++
				wantErr(t, "why "+string(k), why, sqllock.ErrUnsupported)
			}
		}))
		if want := map[lock.Kind]int{lock.Lease: 1}[kind]; first.Kind() != kind || prepared != want || chosen != want {
			t.Errorf("kind %s, prepared %d times, chosen %d times", first.Kind(), prepared, chosen)
		}
		if err := first.Check(t.Context()); err != nil {
			t.Error(err)
		}
		waiting := make(chan string, 9)
		done := make(chan error)
		go func() {
			held, err := lock.Take(t.Context(), d, options("b", func(o *lock.Options) {
				o.Timeout = time.Hour
				o.Waiting = func(held *sqllock.HeldError) { waiting <- lock.Describe(held) }
			}))
			if err == nil {
				err = held.Release(t.Context())
			}
			done <- err
		}()
		if text := <-waiting; !strings.HasPrefix(text, "a, ") || !strings.Contains(text, "since 2000-01-01T00:00:0") {
			t.Errorf("waiting for %q", text)
		}
		time.Sleep(time.Minute)
		release(t, first)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(waiting) != 0 {
			t.Errorf("Waiting was called again: %q", <-waiting)
		}
	})
}

// Take returns after the lock timeout, and when ctx ends. Neither leaves anything behind.
func TestGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, _ *sqllocktest.Dialect, d dialect.Dialect, _ lock.Kind) {
		first := take(t, d, options("a"))
		begun := time.Now()
		_, err := lock.Take(t.Context(), d, options("b", func(o *lock.Options) { o.Timeout = 7 * time.Second }))
		timeout, ok := errors.AsType[*lock.TimeoutError](err)
		if took := time.Since(begun); !ok || took != 7*time.Second || timeout.Held.Holder != "a" {
			t.Errorf("after %v: %v", took, err)
		}
		wantErr(t, "timeout", err, sqllock.ErrNotAcquired)
		if text := err.Error(); !strings.Contains(text, "held the migration lock for 7s: a, ") ||
			!strings.Contains(text, "longer lock timeout") {
			t.Error(text)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("changed my mind"))
		defer cancel()
		_, err = lock.Take(ctx, d, options("c"))
		if wantErr(t, "cancelled", err, context.DeadlineExceeded); !strings.Contains(err.Error(), "changed my mind") {
			t.Error(err)
		}
		release(t, first)
		if holders, err := lock.ReadHolder(t.Context(), d, options("d")); err != nil || len(holders) != 0 {
			t.Errorf("left behind: %+v, %v", holders, err)
		}
	})
}

// The lock of a holder that dies becomes free by itself.
func TestHolderDies(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect, d dialect.Dialect, _ lock.Kind) {
		first := take(t, d, options("a"))
		db.CutSessions()
		db.ExpireAllLeases()
		second := take(t, d, options("b"))
		<-first.Context().Done()
		wantErr(t, "Check", first.Check(t.Context()), sqllock.ErrLost)
		wantErr(t, "Release", first.Release(t.Context()), sqllock.ErrLost)
		release(t, second)
	})
}

func TestInspectAndBreak(t *testing.T) {
	bubble(t, func(t *testing.T, _ *sqllocktest.Dialect, d dialect.Dialect, kind lock.Kind) {
		first := take(t, d, options("a"))
		holders, err := lock.ReadHolder(t.Context(), d, options("b"))
		if err != nil || len(holders) != 1 || holders[0].Kind != kind || holders[0].Holder != "a" ||
			holders[0].Since.IsZero() {
			t.Fatalf("%+v, %v", holders, err)
		}
		err = lock.Break(t.Context(), d, options("b"), holders[0])
		if kind == lock.Session {
			wantErr(t, "breaking a session lock", err, dialect.ErrUnsupported)
			release(t, first)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, "the holder's Check", first.Check(t.Context()), sqllock.ErrLost)
		second := take(t, d, options("c"))
		wantErr(t, "breaking it again", lock.Break(t.Context(), d, options("b"), holders[0]), sqllock.ErrNotHeld)
		release(t, second)
		wantErr(t, "Release", first.Release(t.Context()), sqllock.ErrLost)
	})
}

// anonymous is a database that doesn't show the holder of a session lock.
type anonymous struct {
	*sqllocktest.Dialect
	asked func()
}

type anonymousSession struct {
	dialect.Session
	asked func()
}

func (d anonymous) OpenSession(ctx context.Context, options dialect.SessionOptions) (dialect.Session, error) {
	session, err := d.Dialect.OpenSession(ctx, options)
	return anonymousSession{session, d.asked}, err
}

func (s anonymousSession) HeldBy(_ context.Context, locks []dialect.ServerLock) ([]dialect.SessionHolder, error) {
	s.asked()
	return make([]dialect.SessionHolder, len(locks)), nil
}

// A holder that isn't shown is reported nevertheless. A holder that releases the lock between the
// two attempts is not.
func TestReadHolderThatIsNotShown(t *testing.T) {
	for what, lets := range map[string]bool{"it holds on": false, "it lets go": true} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := sqllocktest.New()
				first := take(t, db, options("a"))
				once := sync.OnceFunc(func() {
					if lets {
						release(t, first)
					}
				})
				holders, err := lock.ReadHolder(t.Context(), anonymous{db, once}, options("b"))
				switch {
				case err != nil:
					t.Error(err)
				case lets && len(holders) != 0:
					t.Errorf("the lock is free, but ReadHolder returns %+v", holders)
				case !lets && !slices.Equal(holders, []lock.Holder{{Kind: lock.Session}}):
					t.Errorf("the lock is held, but ReadHolder returns %+v", holders)
				}
				if !lets {
					release(t, first)
				}
			})
		})
	}
}

// partial is a database in which some kinds of lock can't be read.
type partial struct {
	*sqllocktest.Dialect
	sessions error
	schema   dialect.Server
}

func (d partial) OpenSession(ctx context.Context, options dialect.SessionOptions) (dialect.Session, error) {
	if d.sessions != nil {
		return nil, d.sessions
	}
	return d.Dialect.OpenSession(ctx, options)
}

func (d partial) Probe(context.Context) (dialect.Server, error) { return d.schema, nil }

// If a kind of lock can't be read, ReadHolder doesn't report that it is free. If it doesn't exist,
// it does.
func TestReadHolderOfUnseenLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sqllocktest.New()
		pooled := partial{Dialect: db, sessions: fmt.Errorf("%w: a pooler", dialect.ErrUnsupported)}
		holders, err := lock.ReadHolder(t.Context(), pooled, options("b"))
		if err != nil || len(holders) != 1 || holders[0].Kind != lock.Session ||
			!errors.Is(holders[0].Unseen, dialect.ErrUnsupported) {
			t.Errorf("behind a pooler: %+v, %v", holders, err)
		}
		_, err = lock.ReadHolder(t.Context(), pooled, options("b", func(o *lock.Options) { o.Kind = lock.Session }))
		wantErr(t, "sessions alone, behind a pooler", err, dialect.ErrUnsupported)
		for _, other := range []dialect.Server{
			{Versioned: true, Schema: db.SchemaVersion() - 1},
			{Versioned: true, Schema: db.SchemaVersion() + 1},
			{Versioned: true, Dirty: true},
			{Versioned: true, Several: true},
		} {
			_, err = lock.ReadHolder(t.Context(), partial{Dialect: db, schema: other}, options("b"))
			wantErr(t, fmt.Sprintf("tables of %+v", other), err, sqllock.ErrSchema)
			_, err = lock.ReadHolder(t.Context(), partial{Dialect: db, schema: other, sessions: pooled.sessions},
				options("b"))
			wantErr(t, fmt.Sprintf("tables of %+v, behind a pooler", other), err, sqllock.ErrSchema)
			session := take(t, db, options("a"))
			holders, err := lock.ReadHolder(t.Context(), partial{Dialect: db, schema: other}, options("b"))
			if err != nil || len(holders) != 2 || holders[0].Holder != "a" || holders[1].Kind != lock.Lease ||
				!errors.Is(holders[1].Unseen, sqllock.ErrSchema) {
				t.Errorf("tables of %+v, beside a session: %+v, %v", other, holders, err)
			}
			release(t, session)
		}
		for _, none := range []dialect.Dialect{
			leasesOnly{db}, partial{Dialect: db, schema: dialect.Server{Versioned: true}},
		} {
			if holders, err := lock.ReadHolder(t.Context(), none, options("b")); err != nil || len(holders) != 0 {
				t.Errorf("nobody: %+v, %v", holders, err)
			}
		}
		db.FailNext(sqllocktest.OpProbe, 1, dialect.ClassNoSchema)
		if holders, err := lock.ReadHolder(t.Context(), db, options("b")); err != nil || len(holders) != 0 {
			t.Errorf("no tables: %+v, %v", holders, err)
		}
	})
}

// A process that takes no lock sees the locks of others.
func TestInspectWithoutALock(t *testing.T) {
	bubble(t, func(t *testing.T, _ *sqllocktest.Dialect, d dialect.Dialect, kind lock.Kind) {
		first := take(t, d, options("a"))
		holders, err := lock.ReadHolder(t.Context(), d, options("b", func(o *lock.Options) { o.Kind = lock.None }))
		if err != nil || len(holders) != 1 || holders[0].Kind != kind {
			t.Errorf("%+v, %v", holders, err)
		}
		release(t, first)
	})
}

// Take tries again while the database is out of service, for as long as the lock timeout allows.
func TestOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect, d dialect.Dialect, _ lock.Kind) {
		db.Outage(true)
		time.AfterFunc(20*time.Second, func() { db.Outage(false) })
		_, err := lock.Take(t.Context(), d, options("a"))
		if timeout, ok := errors.AsType[*lock.TimeoutError](err); !ok || timeout.Held != nil ||
			!strings.Contains(err.Error(), "outage") {
			t.Errorf("outage: %v", err)
		}
		release(t, take(t, d, options("a")))
	})
}

// Permanent errors are returned at once.
func TestFails(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect, d dialect.Dialect, kind lock.Kind) {
		broken := errors.New("no tables")
		_, err := lock.Take(t.Context(), d, options("a", func(o *lock.Options) {
			o.Kind, o.Prepare = lock.Lease, func(context.Context) error { return broken }
		}))
		wantErr(t, "Prepare failed", err, broken)
		db.FailNext(sqllocktest.OpProbe, 1, dialect.ClassNoSchema)
		_, err = lock.Take(t.Context(), d, options("a", func(o *lock.Options) { o.Kind = lock.Lease }))
		wantErr(t, "no tables", err, sqllock.ErrSchema)
		begun := time.Now()
		_, err = lock.Take(t.Context(), partial{Dialect: db, schema: dialect.Server{Versioned: true, Several: true}},
			options("a", func(o *lock.Options) {
				o.Kind, o.Prepare = lock.Lease, func(context.Context) error { return nil }
			}))
		wantErr(t, "a version table with several rows", err, sqllock.ErrSchema)
		if took := time.Since(begun); took > 0 {
			t.Errorf("a version table with several rows delayed the error by %s", took)
		}
		if kind == lock.Lease {
			_, err = lock.Take(t.Context(), d, options("a", func(o *lock.Options) { o.Kind = lock.Session }))
			wantErr(t, "no session locks", err, sqllock.ErrUnsupported)
		}
		for name, wrong := range map[string]lock.Options{
			"kind": {Kind: "sessions"}, "timeout": {Timeout: -1}, "TTL": {TTL: -1}, "short TTL": {TTL: 1},
			"name": {Name: " x"},
		} {
			_, err := lock.Take(t.Context(), d, &wrong)
			wantErr(t, name, err, dialect.ErrInvalid)
		}
		_, err = lock.Take(t.Context(), nil, nil)
		wantErr(t, "nil dialect", err, dialect.ErrInvalid)
	})
}

func TestNone(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect, d dialect.Dialect, _ lock.Kind) {
		none := options("a", func(o *lock.Options) { o.Kind = lock.None })
		first, second := take(t, d, none), take(t, d, none)
		if first.Kind() != lock.None || first.Check(t.Context()) != nil || second.Context().Err() != nil {
			t.Error("an invalid option is accepted")
		}
		release(t, first)
		release(t, second)
		if n := db.Calls(sqllocktest.Any); n != 0 {
			t.Errorf("the database was accessed %d times", n)
		}
	})
}

// The interfaces of goose, as in github.com/pressly/goose/v3/lock.
var _ interface {
	Lock(ctx context.Context, db *sql.DB) error
	Unlock(ctx context.Context, db *sql.DB) error
	SessionLock(ctx context.Context, conn *sql.Conn) error
	SessionUnlock(ctx context.Context, conn *sql.Conn) error
} = (*lock.Locker)(nil)

func TestLocker(t *testing.T) {
	bubble(t, func(t *testing.T, _ *sqllocktest.Dialect, d dialect.Dialect, _ lock.Kind) {
		a, b := lock.New(d, options("a")), lock.New(d, options("b", func(o *lock.Options) { o.Timeout = time.Second }))
		wantErr(t, "Unlock before Lock", a.Unlock(t.Context(), nil), dialect.ErrInvalid)
		var over []bool
		for range 2 {
			if err := a.Lock(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			wantErr(t, "Lock twice", a.Lock(t.Context(), nil), dialect.ErrInvalid)
			wantErr(t, "another's", b.SessionLock(t.Context(), nil), sqllock.ErrNotAcquired)
			over = append(over, a.Context().Err() != nil)
			if err := a.Unlock(t.Context(), nil); err != nil {
				t.Error(err)
			}
			over = append(over, a.Context().Err() != nil)
		}
		if !slices.Equal(over, []bool{false, true, false, true}) {
			t.Errorf("context ended: %v", over)
		}
		if err := errors.Join(b.SessionLock(t.Context(), nil), b.SessionUnlock(t.Context(), nil)); err != nil {
			t.Error(err)
		}
	})
}
