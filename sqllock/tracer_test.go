package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// recorder is a tracer that writes down what happens, apart from heartbeats that succeed. Each
// start adds its name to the context, and each end checks that it is there.
type recorder struct {
	mu     sync.Mutex
	events []string
}

type startedKey struct{}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

// take returns the events since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

func (r *recorder) start(ctx context.Context, what string, lock sqllock.LockData, more ...any) context.Context {
	r.note("%s", strings.TrimSpace(fmt.Sprintf("%s %s %s", what, describeLock(lock), fmt.Sprint(more...))))
	return context.WithValue(ctx, startedKey{}, what)
}

func (r *recorder) end(ctx context.Context, what, how string, took time.Duration) {
	if started := ctx.Value(startedKey{}); started != what {
		how += fmt.Sprintf(", with the context of %v", started)
	}
	r.note("%s ends: %s after %s", what, how, took)
}

func describeLock(lock sqllock.LockData) string {
	text := fmt.Sprintf("%s %q", lock.Kind, lock.Name)
	if lock.Shared {
		text = "shared " + text
	}
	return text
}

func (r *recorder) AcquireStart(ctx context.Context, d sqllock.AcquireStartData) context.Context {
	what := "acquire"
	if d.Try {
		what = "try"
	}
	return r.start(ctx, what, d.LockData, strings.Join(d.Names, "+"))
}

func (r *recorder) AcquireEnd(ctx context.Context, d sqllock.AcquireEndData) {
	what := "acquire"
	if d.Try {
		what = "try"
	}
	if (d.Err == nil) != (d.Outcome == sqllock.OutcomeAcquired) {
		r.note("the outcome is %s with the error %v", d.Outcome, d.Err)
	}
	r.end(ctx, what, string(d.Outcome), d.Duration)
}

func (r *recorder) WaitStart(ctx context.Context, d sqllock.WaitStartData) context.Context {
	return r.start(ctx, "wait", d.LockData, holderOf(d.Holder))
}

func (r *recorder) WaitEnd(ctx context.Context, d sqllock.WaitEndData) {
	r.end(ctx, "wait", string(d.Outcome)+" last seen: "+holderOf(d.Holder), d.Duration)
}

func holderOf(e *sqllock.HeldError) string {
	if e == nil {
		return "nobody"
	}
	return "for " + e.Holder
}

func (r *recorder) HoldStart(ctx context.Context, d sqllock.HoldStartData) context.Context {
	return r.start(ctx, "hold", d.LockData)
}

func (r *recorder) HoldEnd(ctx context.Context, d sqllock.HoldEndData) {
	if (d.Err == nil) != (d.End == sqllock.EndReleased) {
		r.note("the lock was %s with the error %v", d.End, d.Err)
	}
	r.end(ctx, "hold", string(d.End), d.Duration.Round(time.Second))
}

func (r *recorder) HeartbeatStart(ctx context.Context, d sqllock.HeartbeatStartData) context.Context {
	return context.WithValue(ctx, startedKey{}, "heartbeat")
}

func (r *recorder) HeartbeatEnd(ctx context.Context, d sqllock.HeartbeatEndData) {
	if d.Err != nil {
		r.end(ctx, "heartbeat", fmt.Sprintf("failed with %d locks, over: %t, positive margin: %t",
			d.Held, d.Over, d.Margin > 0), d.Duration)
	}
}

func (r *recorder) GuardStart(ctx context.Context, d sqllock.GuardStartData) context.Context {
	return r.start(ctx, "guard", d.LockData)
}

func (r *recorder) GuardEnd(ctx context.Context, d sqllock.GuardEndData) {
	r.end(ctx, "guard", fmt.Sprintf("refused: %t", d.Refused), d.Duration)
	if d.Refused != errors.Is(d.Err, sqllock.ErrLost) {
		r.note("the guard's error is %v", d.Err)
	}
}

func (r *recorder) BreakStart(ctx context.Context, d sqllock.BreakStartData) context.Context {
	return r.start(ctx, "break", sqllock.LockData{Name: d.Name})
}

func (r *recorder) BreakEnd(ctx context.Context, d sqllock.BreakEndData) {
	r.end(ctx, "break", fmt.Sprintf("held by %s, %v", d.Found.Holder, d.Err), d.Duration)
}

func (r *recorder) TermStart(ctx context.Context, d sqllock.TermStartData) context.Context {
	return r.start(ctx, "term", sqllock.LockData{Name: d.Election}, "of ", d.Leader)
}

func (r *recorder) TermEnd(ctx context.Context, d sqllock.TermEndData) {
	r.end(ctx, "term", string(d.End), d.Duration.Round(time.Second))
}

// traced returns a process with a recorder.
func traced(t *testing.T, db dialect.Dialect, holder string) (*sqllock.Client, *recorder) {
	t.Helper()
	r := &recorder{}
	return client(t, db, holder, func(o *sqllock.Options) { o.Tracer = r }), r
}

func (r *recorder) want(t *testing.T, what string, events ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.take(); !slices.Equal(got, events) {
		t.Errorf("%s:\ngot  %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(events, "\n     "))
	}
}

// Everything that begins is told with its end, in this order, and no end is told twice.
func TestTracer(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c, r := traced(t, db, "a")
		other := client(t, db, "b")

		lock := mustTry(t, c, "job")
		r.want(t, "a try", `try lock "job"`, "try ends: acquired after 0s", `hold lock "job"`)
		wantErr(t, "Guard", lock.Guard(t.Context(), nil), nil)
		r.want(t, "a guard", `guard lock "job"`, "guard ends: refused: false after 0s")
		time.Sleep(time.Minute)
		mustRelease(t, lock)
		wantErr(t, "again", lock.Release(t.Context()), sqllock.ErrNotHeld)
		r.want(t, "a release", "hold ends: released after 1m0s")

		set, err := c.AcquireAll(t.Context(), []string{"y", "x"})
		wantErr(t, "AcquireAll", err, nil)
		wantErr(t, "Release", set.Release(t.Context()), nil)
		events := r.take()
		slices.Sort(events[4:]) // they are released concurrently
		if want := []string{
			`acquire lock "x" x+y`, "acquire ends: acquired after 0s", `hold lock "x"`, `hold lock "y"`,
			"hold ends: released after 0s", "hold ends: released after 0s",
		}; !slices.Equal(events, want) {
			t.Errorf("a set: %q; want %q", events, want)
		}

		theirs := mustTry(t, other, "job")
		_, err = c.TryAcquire(t.Context(), "job")
		wantErr(t, "TryAcquire", err, sqllock.ErrNotAcquired)
		r.want(t, "a try of a lock that is held", `try lock "job"`, "try ends: not_acquired after 0s")
		_, err = c.Break(t.Context(), "job", theirs.Fence())
		wantErr(t, "Break", err, nil)
		r.want(t, "a break", `break  "job"`, "break ends: held by b, <nil> after 0s")
		_, err = c.Acquire(t.Context(), "")
		wantErr(t, "no name", err, sqllock.ErrInvalid)
		r.want(t, "an acquisition that was never made")
	})
}

// A wait begins when the caller finds that it has to wait, and ends with the acquisition.
func TestTracerWaits(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c, r := traced(t, db, "a")
		other := client(t, db, "b")
		theirs := mustTry(t, other, "job")
		got := make(chan *sqllock.Lock)
		take := func() {
			lock, err := c.Acquire(t.Context(), "job")
			wantErr(t, "Acquire", err, nil)
			got <- lock
		}
		go take()
		r.want(t, "the first waiter", `acquire lock "job"`, `wait lock "job" for b`)
		go take()
		r.want(t, "the second one", `acquire lock "job"`, `wait lock "job" nobody`)
		time.Sleep(time.Minute)
		mustRelease(t, theirs)
		lock := <-got
		synctest.Wait()
		if events := r.take(); len(events) < 3 || events[0] != "wait ends: acquired last seen: for b after 1m0s" ||
			events[1] != "acquire ends: acquired after 1m0s" || events[2] != `hold lock "job"` {
			t.Errorf("when the holder released the lock: %q", events)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Acquire(ctx, "job")
		wantErr(t, "Acquire", err, context.DeadlineExceeded)
		r.want(t, "one that gave up", `acquire lock "job"`, `wait lock "job" nobody`,
			"wait ends: gave_up last seen: nobody after 1s", "acquire ends: gave_up after 1s")
		mustRelease(t, lock)
		mustRelease(t, <-got)
		_, err = c.Acquire(mustTry(t, c, "mine").Context(), "mine")
		wantErr(t, "a deadlock", err, sqllock.ErrDeadlock)
		if events := r.take(); !slices.Contains(events, "acquire ends: deadlock after 0s") {
			t.Errorf("a deadlock: %q", events)
		}
	})
}

// However a lock ends, its tracer is told once, and how.
func TestTracerEnds(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c, r := traced(t, db, "a")
		other := client(t, db, "b")
		for _, name := range []string{"guarded", "released"} {
			lock := mustTry(t, c, name)
			_, err := other.Break(t.Context(), name, lock.Fence())
			wantErr(t, "Break", err, nil)
			_ = r.take()
			if name == "guarded" {
				wantErr(t, "Guard", lock.Guard(t.Context(), nil), sqllock.ErrLost)
				r.want(t, name, `guard lock "guarded"`, "hold ends: broken after 0s",
					"guard ends: refused: true after 0s")
			}
			wantErr(t, "Release", lock.Release(t.Context()), sqllock.ErrLost)
			if name == "released" {
				r.want(t, name, "hold ends: broken after 0s")
			}
		}
		lock := mustTry(t, c, "lost")
		_ = r.take()
		db.Outage(true)
		time.Sleep(sqllock.DefaultTTL)
		db.Outage(false)
		wantErr(t, "Release", lock.Release(t.Context()), sqllock.ErrLost)
		events := r.take()
		if last := events[len(events)-1]; last != "hold ends: lost after 14s" || len(events) < 2 || events[0] !=
			"heartbeat ends: failed with 1 locks, over: false, positive margin: true after 0s" {
			t.Errorf("a lost lock: %q", events)
		}

		lock = mustTry(t, c, "wiped")
		_ = r.take()
		db.Wipe()
		time.Sleep(sqllock.DefaultTTL)
		wantErr(t, "cause", context.Cause(lock.Context()), sqllock.ErrLost)
		r.want(t, "a lease that is gone",
			"heartbeat ends: failed with 1 locks, over: true, positive margin: true after 0s",
			"hold ends: lost after 5s")

		mustTry(t, c, "closed")
		_ = r.take()
		wantErr(t, "Close", c.Close(t.Context()), nil)
		r.want(t, "Close", "hold ends: closed after 0s")
		_, err := c.TryAcquire(t.Context(), "closed")
		wantErr(t, "TryAcquire", err, sqllock.ErrClosed)
		r.want(t, "after Close", `try lock "closed"`, "try ends: closed after 0s")
	})
}

// The events of each kind of lock say which kind it is.
func TestTracerKinds(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c, r := traced(t, db, "a")
		for want, opts := range map[string][]any{
			`rwlock "x"`: {locktest.Writer}, `shared rwlock "x"`: {locktest.Shared},
			`semaphore "x"`: {locktest.Permits(2)}, `session "x"`: {locktest.Session},
			`shared session "x"`: {locktest.Session, locktest.Shared},
		} {
			mustRelease(t, mustTake(t, c, "x", opts...))
			r.want(t, want, "try "+want, "try ends: acquired after 0s", "hold "+want, "hold ends: released after 0s")
		}
		boss, err := election.New(c, "boss")
		wantErr(t, "New", err, nil)
		for _, end := range []string{"released", "closed"} {
			term, err := boss.Campaign(t.Context())
			wantErr(t, "Campaign", err, nil)
			r.want(t, "a campaign", `acquire election "boss"`, "acquire ends: acquired after 0s",
				`hold election "boss"`, `term  "boss" of a`)
			time.Sleep(time.Minute)
			if end == "released" {
				wantErr(t, "Resign", term.Resign(t.Context()), nil)
			} else {
				wantErr(t, "Close", c.Close(t.Context()), nil)
			}
			synctest.Wait()
			if events := r.take(); !slices.Contains(events, "term ends: "+end+" after 1m0s") || len(events) != 2 {
				t.Errorf("a term that was %s: %q", end, events)
			}
		}
	})
}

// spyDialect notes the value that the tracer has put into the context of a statement.
type spyDialect struct {
	*sqllocktest.Dialect
	saw any
}

func (d *spyDialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	d.saw = ctx.Value(startedKey{})
	return d.Dialect.Acquire(ctx, requests)
}

// Statements have the context of the acquisition that makes them. The lock's context has the
// caller's values, since the acquisition is over.
func TestTracerContexts(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		spy := &spyDialect{Dialect: db}
		c, _ := traced(t, spy, "a")
		ctx := context.WithValue(t.Context(), startedKey{}, "the caller")
		for range 2 { // the first one opens the lease
			lock, err := c.Acquire(ctx, "job")
			wantErr(t, "Acquire", err, nil)
			if spy.saw != "acquire" {
				t.Errorf("the statement had the context of %v", spy.saw)
			}
			if v := lock.Context().Value(startedKey{}); v != "the caller" {
				t.Errorf("the lock's context has the value %v", v)
			}
			mustRelease(t, lock)
		}
	})
}

// A traced acquisition knows what its caller holds, also where the ctx doesn't say it.
func TestTracerKeepsWhatIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c, _ := traced(t, db, "a")
		held := mustTry(t, c, "held")
		lock, err := c.Acquire(t.Context(), "job", sqllock.Holding(held))
		wantErr(t, "Acquire", err, nil)
		ctx, cancel := context.WithTimeout(lock.Context(), time.Minute)
		defer cancel()
		_, err = c.Acquire(ctx, "held")
		wantErr(t, "what is held already", err, sqllock.ErrDeadlock)
	})
}

// terms is a tracer of terms only.
type terms struct{ *recorder }

func (terms) AcquireStart() {} // not what AcquireTracer has

func TestTracers(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		for _, wrong := range []any{struct{}{}, "x", sqllock.Tracers(&recorder{}, struct{}{})} {
			_, err := sqllock.New(t.Context(), db, &sqllock.Options{Tracer: wrong})
			wantErr(t, fmt.Sprintf("%T", wrong), err, sqllock.ErrInvalid)
		}
		one, two := &recorder{}, &recorder{}
		c := client(t, db, "a", func(o *sqllock.Options) {
			o.Tracer = sqllock.Tracers(one, nil, sqllock.Tracers(terms{two}, nil))
		})
		mustRelease(t, mustTry(t, c, "job"))
		one.want(t, "the first", `try lock "job"`, "try ends: acquired after 0s", `hold lock "job"`,
			"hold ends: released after 0s")
		two.want(t, "one that doesn't trace acquisitions", `hold lock "job"`, "hold ends: released after 0s")
		client(t, db, "b", func(o *sqllock.Options) { o.Tracer = sqllock.Tracers() })
	})
}
