package sqllock_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// says is work whose result is that text.
func says(text string) func(context.Context, *sqllock.Lock) ([]byte, error) {
	return func(context.Context, *sqllock.Lock) ([]byte, error) { return []byte(text), nil }
}

var errBroken = errors.New("broken")

func fails(context.Context, *sqllock.Lock) ([]byte, error) { return nil, errBroken }

// mustNotRun is work that has been done before.
func mustNotRun(t *testing.T) func(context.Context, *sqllock.Lock) ([]byte, error) {
	t.Helper()
	return func(context.Context, *sqllock.Lock) ([]byte, error) {
		t.Error("the work was done again")
		return nil, nil
	}
}

// wantOutcome checks the answer of Once.
func wantOutcome(t *testing.T, out sqllock.Outcome, err error, text string, replayed bool) {
	t.Helper()
	if err != nil || string(out.Result) != text || out.Replayed != replayed || out.At.IsZero() {
		t.Errorf("Once = %q, replayed %t, at %s, %v; want %q, replayed %t", out.Result, out.Replayed, out.At, err, text, replayed)
	}
}

func TestOnceConcurrently(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		var ran atomic.Int32
		var first atomic.Int32
		var all sync.WaitGroup
		for _, holder := range []string{"a", "b", "c"} {
			c := client(t, db, holder)
			for range 5 {
				all.Go(func() {
					out, err := c.Once(t.Context(), "invoice/42", func(context.Context, *sqllock.Lock) ([]byte, error) {
						ran.Add(1)
						time.Sleep(time.Minute) // several leases
						return []byte("paid"), nil
					})
					if err != nil || string(out.Result) != "paid" {
						t.Errorf("Once = %q, %v", out.Result, err)
					}
					if !out.Replayed {
						first.Add(1)
					}
				})
			}
		}
		all.Wait()
		if ran.Load() != 1 || first.Load() != 1 {
			t.Errorf("the work was done %d times, and %d callers were told that they did it", ran.Load(), first.Load())
		}
	})
}

func TestOnceFailure(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		_, err := a.Once(t.Context(), "key", fails)
		wantErr(t, "Once", err, errBroken)
		out, err := b.Once(t.Context(), "key", says("done"))
		wantOutcome(t, out, err, "done", false)
		out, err = a.Once(t.Context(), "key", mustNotRun(t))
		wantOutcome(t, out, err, "done", true)
	})
}

func TestRememberFailure(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		_, err := a.Once(t.Context(), "key", fails, sqllock.RememberFailure())
		wantErr(t, "the first", err, errBroken)
		if errors.Is(err, sqllock.ErrFailedBefore) {
			t.Errorf("the first was told that it failed before: %v", err)
		}
		out, err := b.Once(t.Context(), "key", mustNotRun(t))
		wantErr(t, "the second", err, sqllock.ErrFailedBefore)
		told, ok := errors.AsType[*sqllock.OutcomeError](err)
		if !ok || told.Key != "key" || told.Text != "broken" || time.Since(told.At).Abs() > time.Second || !out.Replayed {
			t.Errorf("the second was told %+v, %+v", told, out)
		}
		for _, part := range []string{`"key"`, "broken", told.At.Format(time.RFC3339Nano)} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error doesn't say %s: %v", part, err)
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		_, err = a.Once(ctx, "given up", func(context.Context, *sqllock.Lock) ([]byte, error) { cancel(); return nil, ctx.Err() },
			sqllock.RememberFailure())
		wantErr(t, "given up", err, context.Canceled)
		out, err = b.Once(t.Context(), "given up", says("done"))
		wantOutcome(t, out, err, "done", false)

		long := errors.New(strings.Repeat("ä", sqllock.MaxResultBytes))
		_, err = a.Once(t.Context(), "long", func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, long }, sqllock.RememberFailure())
		wantErr(t, "long", err, long)
		_, err = b.Once(t.Context(), "long", mustNotRun(t))
		told, ok = errors.AsType[*sqllock.OutcomeError](err)
		if !ok || len(told.Text) > sqllock.MaxResultBytes || !strings.HasSuffix(told.Text, "ä … (cut)") {
			t.Errorf("a long error: %.100v", err)
		}
	})
}

func TestKeepOutcome(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		out, err := c.Once(t.Context(), "key", says("first"), sqllock.KeepOutcome(time.Hour))
		wantOutcome(t, out, err, "first", false)
		out, err = c.Once(t.Context(), "day", says("day"))
		wantOutcome(t, out, err, "day", false)
		time.Sleep(time.Hour - time.Millisecond)
		out, err = c.Once(t.Context(), "key", mustNotRun(t))
		wantOutcome(t, out, err, "first", true)
		time.Sleep(2 * time.Millisecond)
		if r, err := c.Reap(t.Context()); err != nil || r.Outcomes != 1 {
			t.Errorf("Reap = %+v, %v; want one outcome", r, err)
		}
		out, err = c.Once(t.Context(), "key", says("second"))
		wantOutcome(t, out, err, "second", false)
		time.Sleep(23*time.Hour - time.Second)
		out, err = c.Once(t.Context(), "day", mustNotRun(t))
		wantOutcome(t, out, err, "day", true)
	})
}

// The lock is lost while the work is under way: another does it, and the first outcome that is written is everybody's.
func TestOnceLost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		out, err := a.Once(t.Context(), "key", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			db.ExpireLeases()
			out, err := b.Once(t.Context(), "key", says("b's"))
			wantOutcome(t, out, err, "b's", false)
			<-ctx.Done()
			wantErr(t, "the end of ctx", context.Cause(ctx), sqllock.ErrLost)
			return []byte("a's"), nil
		})
		wantOutcome(t, out, err, "b's", true)
		out, err = a.Once(t.Context(), "late", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			db.ExpireLeases()
			<-ctx.Done()
			return []byte("a's"), nil // nobody has done it meanwhile
		})
		wantOutcome(t, out, err, "a's", false)
	})
}

func TestOncePanic(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		func() {
			defer func() {
				if p := recover(); p != any(errBroken) {
					t.Errorf("recovered %v", p)
				}
			}()
			_, _ = a.Once(t.Context(), "key", func(context.Context, *sqllock.Lock) ([]byte, error) { panic(errBroken) })
		}()
		began := time.Now()
		out, err := b.Once(t.Context(), "key", says("done"))
		wantOutcome(t, out, err, "done", false)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the lock was released %s after the panic", took)
		}
	})
}

func TestOnceLostReply(t *testing.T) {
	for _, op := range []sqllocktest.Op{sqllocktest.OpRecall, sqllocktest.OpRemember, sqllocktest.OpAcquire, sqllocktest.OpRelease} {
		t.Run(string(op), func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				c := client(t, db, "a")
				db.LoseReplies(op, 2)
				out, err := c.Once(t.Context(), "key", says("done"))
				wantOutcome(t, out, err, "done", false)
				out, err = c.Once(t.Context(), "key", mustNotRun(t))
				wantOutcome(t, out, err, "done", true)
			})
		})
	}
}

func TestNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		db.FailNext(sqllocktest.OpRemember, 1, dialect.Permanent)
		out, err := c.Once(t.Context(), "key", says("done"))
		wantErr(t, "the database failed", err, sqllock.ErrNotRemembered)
		if string(out.Result) != "done" {
			t.Errorf("the result is %q", out.Result)
		}
		db.FailNext(sqllocktest.OpRemember, 1000, dialect.Transient)
		began := time.Now()
		_, err = c.Once(t.Context(), "other", fails, sqllock.RememberFailure())
		wantErr(t, "the database is away", err, sqllock.ErrNotRemembered)
		wantErr(t, "the database is away", err, errBroken)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}

		large := bytes.Repeat([]byte("x"), sqllock.MaxResultBytes+1)
		out, err = c.Once(t.Context(), "large", func(context.Context, *sqllock.Lock) ([]byte, error) { return large, nil })
		wantErr(t, "a large result", err, sqllock.ErrNotRemembered)
		wantErr(t, "a large result", err, sqllock.ErrInvalid)
		if !bytes.Equal(out.Result, large) || !strings.Contains(err.Error(), "65537 bytes") {
			t.Errorf("%d bytes, %v", len(out.Result), err)
		}
		mustRelease(t, mustTry(t, c, "large"))
	})
}

func TestOnceNested(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		out, err := c.Once(t.Context(), "key", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			_, err := c.Once(ctx, "key", mustNotRun(t))
			wantErr(t, "nested", err, sqllock.ErrDeadlock)
			return []byte("done"), nil
		})
		wantOutcome(t, out, err, "done", false)
	})
}

// The lock of a key has nothing to do with the lock of that name, and its ctx ends with the caller's.
func TestOnceContext(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		lock := mustTry(t, c, "key")
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), errBroken, "value"))
		_, err := c.Once(ctx, "key", func(ctx context.Context, l *sqllock.Lock) ([]byte, error) {
			if ctx.Value(errBroken) != "value" || l.Name() != "key" || l.Fence() == 0 {
				t.Errorf("the work got %v and the lock %q with fence %d", ctx, l.Name(), l.Fence())
			}
			cancel(errBroken)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		wantErr(t, "Once", err, errBroken)
		mustRelease(t, lock)
		_, err = c.Once(ctx, "key", mustNotRun(t))
		wantErr(t, "with a ctx that has ended", err, sqllock.ErrNotAcquired)
		wantErr(t, "with a ctx that has ended", err, errBroken)
	})
}

func TestOnceClosed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		out, err := c.Once(t.Context(), "key", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			go c.Close(context.Background())
			<-ctx.Done()
			wantErr(t, "the end of ctx", context.Cause(ctx), sqllock.ErrClosed)
			synctest.Wait()
			return []byte("done"), nil
		})
		wantErr(t, "closed meanwhile", err, sqllock.ErrNotRemembered)
		wantErr(t, "closed meanwhile", err, sqllock.ErrClosed)
		if string(out.Result) != "done" {
			t.Errorf("the result is %q", out.Result)
		}
		_, err = c.Once(t.Context(), "key", mustNotRun(t))
		wantErr(t, "closed before", err, sqllock.ErrClosed)
	})
}

func TestOnceRefused(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		for what, test := range map[string]struct {
			key  string
			fn   func(context.Context, *sqllock.Lock) ([]byte, error)
			opts []sqllock.OnceOption
			says string
		}{
			"empty key":    {"", mustNotRun(t), nil, "the key is empty"},
			"long key":     {strings.Repeat("k", 256), mustNotRun(t), nil, "256 bytes"},
			"odd key":      {"a\nb", mustNotRun(t), nil, "control character"},
			"spaced key":   {" a", mustNotRun(t), nil, "space"},
			"no UTF-8":     {"a\xff", mustNotRun(t), nil, "UTF-8"},
			"nil function": {"key", nil, nil, "nil"},
			"nil option":   {"key", mustNotRun(t), []sqllock.OnceOption{nil}, "option 1"},
			"no time":      {"key", mustNotRun(t), []sqllock.OnceOption{sqllock.KeepOutcome(0)}, "between 1s and"},
			"negative":     {"key", mustNotRun(t), []sqllock.OnceOption{sqllock.KeepOutcome(-time.Hour)}, "-1h"},
			"short":        {"key", mustNotRun(t), []sqllock.OnceOption{sqllock.KeepOutcome(sqllock.MinKeep - 1)}, "between 1s and"},
			"for ever":     {"key", mustNotRun(t), []sqllock.OnceOption{sqllock.KeepOutcome(sqllock.MaxHold + 1)}, "between 1s and"},
			"TTL":          {"key", mustNotRun(t), []sqllock.OnceOption{sqllock.OnceTTL(time.Millisecond)}, "TTL is 1ms"},
		} {
			_, err := c.Once(t.Context(), test.key, test.fn, test.opts...)
			wantErr(t, what, err, sqllock.ErrInvalid)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v doesn't say %q", what, err, test.says)
			}
		}
		bare := client(t, db, "b", func(o *sqllock.Options) { o.WithoutTables = true })
		_, err := bare.Once(t.Context(), "key", mustNotRun(t))
		wantErr(t, "without tables", err, sqllock.ErrUnsupported)
		if n := db.Calls(sqllocktest.OpRecall); n != 0 {
			t.Errorf("the database was asked %d times for what was refused", n)
		}
	})
}
