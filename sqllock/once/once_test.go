package once_test

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
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// says returns work whose result is that text.
func says(text string) func(context.Context, *sqllock.Lock) ([]byte, error) {
	return func(context.Context, *sqllock.Lock) ([]byte, error) { return []byte(text), nil }
}

var errBroken = errors.New("broken")

func fails(context.Context, *sqllock.Lock) ([]byte, error) { return nil, errBroken }

// mustNotRun returns work that has been done already.
func mustNotRun(t *testing.T) func(context.Context, *sqllock.Lock) ([]byte, error) {
	t.Helper()
	return func(context.Context, *sqllock.Lock) ([]byte, error) {
		t.Error("the work was done again")
		return nil, nil
	}
}

// wantOutcome checks the results of [once.Do].
func wantOutcome(t *testing.T, out once.Outcome, err error, text string, replayed bool) {
	t.Helper()
	if err != nil || string(out.Result) != text || out.Replayed != replayed || out.At.IsZero() {
		t.Errorf("Do = %q, replayed %t, at %s, %v; want %q, replayed %t",
			out.Result, out.Replayed, out.At, err, text, replayed)
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
					pay := func(context.Context, *sqllock.Lock) ([]byte, error) {
						ran.Add(1)
						time.Sleep(time.Minute) // several leases
						return []byte("paid"), nil
					}
					out, err := once.Do(t.Context(), c, "invoice/42", pay)
					if err != nil || string(out.Result) != "paid" {
						t.Errorf("Do = %q, %v", out.Result, err)
					}
					if !out.Replayed {
						first.Add(1)
					}
				})
			}
		}
		all.Wait()
		if ran.Load() != 1 || first.Load() != 1 {
			t.Errorf("the work was done %d times, and %d callers got an outcome that isn't replayed",
				ran.Load(), first.Load())
		}
	})
}

func TestOnceFailure(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		_, err := once.Do(t.Context(), a, "key", fails)
		wantErr(t, "Do", err, errBroken)
		out, err := once.Do(t.Context(), b, "key", says("done"))
		wantOutcome(t, out, err, "done", false)
		out, err = once.Do(t.Context(), a, "key", mustNotRun(t))
		wantOutcome(t, out, err, "done", true)
	})
}

func TestRememberFailure(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		_, err := once.Do(t.Context(), a, "key", fails, once.RememberFailure())
		wantErr(t, "the first", err, errBroken)
		if errors.Is(err, once.ErrFailedBefore) {
			t.Errorf("the first caller got an ErrFailedBefore: %v", err)
		}
		out, err := once.Do(t.Context(), b, "key", mustNotRun(t))
		wantErr(t, "the second", err, once.ErrFailedBefore)
		outcome, ok := errors.AsType[*once.OutcomeError](err)
		if !ok || outcome.Key != "key" || outcome.Text != "broken" ||
			time.Since(outcome.At).Abs() > time.Second || !out.Replayed {
			t.Errorf("the second caller got %+v, %+v", outcome, out)
		}
		for _, part := range []string{`"key"`, "broken", outcome.At.Format(time.RFC3339Nano)} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error doesn't say %s: %v", part, err)
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		canceled := func(context.Context, *sqllock.Lock) ([]byte, error) {
			cancel()
			return nil, ctx.Err()
		}
		_, err = once.Do(ctx, a, "given up", canceled, once.RememberFailure())
		wantErr(t, "given up", err, context.Canceled)
		out, err = once.Do(t.Context(), b, "given up", says("done"))
		wantOutcome(t, out, err, "done", false)

		long := errors.New(strings.Repeat("ä", once.MaxResultBytes))
		fails := func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, long }
		_, err = once.Do(t.Context(), a, "long", fails, once.RememberFailure())
		wantErr(t, "long", err, long)
		_, err = once.Do(t.Context(), b, "long", mustNotRun(t))
		outcome, ok = errors.AsType[*once.OutcomeError](err)
		if !ok || len(outcome.Text) > once.MaxResultBytes || !strings.HasSuffix(outcome.Text, "ä … (cut)") {
			t.Errorf("a long error: %.100v", err)
		}
	})
}

func TestKeepOutcome(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		out, err := once.Do(t.Context(), c, "key", says("first"), once.Keep(time.Hour))
		wantOutcome(t, out, err, "first", false)
		out, err = once.Do(t.Context(), c, "day", says("day"))
		wantOutcome(t, out, err, "day", false)
		time.Sleep(time.Hour - time.Millisecond)
		out, err = once.Do(t.Context(), c, "key", mustNotRun(t))
		wantOutcome(t, out, err, "first", true)
		time.Sleep(2 * time.Millisecond)
		if r, err := c.Reap(t.Context()); err != nil || r.Outcomes != 1 {
			t.Errorf("Reap = %+v, %v; want one outcome", r, err)
		}
		out, err = once.Do(t.Context(), c, "key", says("second"))
		wantOutcome(t, out, err, "second", false)
		time.Sleep(23*time.Hour - time.Second)
		out, err = once.Do(t.Context(), c, "day", mustNotRun(t))
		wantOutcome(t, out, err, "day", true)
	})
}

// The lock is lost while the work is in progress: another process does it, and every caller gets
// the first outcome that is written.
func TestOnceLost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		out, err := once.Do(t.Context(), a, "key", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			db.ExpireAllLeases()
			out, err := once.Do(t.Context(), b, "key", says("b's"))
			wantOutcome(t, out, err, "b's", false)
			<-ctx.Done()
			wantErr(t, "the end of ctx", context.Cause(ctx), sqllock.ErrLost)
			return []byte("a's"), nil
		})
		wantOutcome(t, out, err, "b's", true)
		out, err = once.Do(t.Context(), a, "late", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			db.ExpireAllLeases()
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
			_, _ = once.Do(t.Context(), a, "key", func(context.Context, *sqllock.Lock) ([]byte, error) {
				panic(errBroken)
			})
		}()
		began := time.Now()
		out, err := once.Do(t.Context(), b, "key", says("done"))
		wantOutcome(t, out, err, "done", false)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the lock was released %s after the panic", took)
		}
	})
}

func TestOnceLostReply(t *testing.T) {
	for _, op := range []sqllocktest.Op{
		sqllocktest.OpRecall, sqllocktest.OpRemember, sqllocktest.OpAcquire, sqllocktest.OpRelease,
	} {
		t.Run(string(op), func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				c := client(t, db, "a")
				db.LoseReplies(op, 2)
				out, err := once.Do(t.Context(), c, "key", says("done"))
				wantOutcome(t, out, err, "done", false)
				out, err = once.Do(t.Context(), c, "key", mustNotRun(t))
				wantOutcome(t, out, err, "done", true)
			})
		})
	}
}

func TestNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		db.FailNext(sqllocktest.OpRemember, 1, dialect.ClassPermanent)
		out, err := once.Do(t.Context(), c, "key", says("done"))
		wantErr(t, "the database failed", err, once.ErrNotRemembered)
		if string(out.Result) != "done" {
			t.Errorf("the result is %q", out.Result)
		}
		db.FailNext(sqllocktest.OpRemember, 1000, dialect.ClassTransient)
		began := time.Now()
		_, err = once.Do(t.Context(), c, "other", fails, once.RememberFailure())
		wantErr(t, "the database is away", err, once.ErrNotRemembered)
		wantErr(t, "the database is away", err, errBroken)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}

		large := bytes.Repeat([]byte("x"), once.MaxResultBytes+1)
		returnsLarge := func(context.Context, *sqllock.Lock) ([]byte, error) { return large, nil }
		out, err = once.Do(t.Context(), c, "large", returnsLarge)
		wantErr(t, "a large result", err, once.ErrNotRemembered)
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
		out, err := once.Do(t.Context(), c, "key", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			_, err := once.Do(ctx, c, "key", mustNotRun(t))
			wantErr(t, "nested", err, sqllock.ErrDeadlock)
			return []byte("done"), nil
		})
		wantOutcome(t, out, err, "done", false)
	})
}

// The lock of a key is independent of the lock of that name, and its ctx ends with the caller's.
func TestOnceContext(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		lock := mustTry(t, c, "key")
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), errBroken, "value"))
		_, err := once.Do(ctx, c, "key", func(ctx context.Context, l *sqllock.Lock) ([]byte, error) {
			if ctx.Value(errBroken) != "value" || l.Name() != "key" || l.Fence() == 0 {
				t.Errorf("the work got %v and the lock %q with fence %d", ctx, l.Name(), l.Fence())
			}
			cancel(errBroken)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		wantErr(t, "Do", err, errBroken)
		mustRelease(t, lock)
		_, err = once.Do(ctx, c, "key", mustNotRun(t))
		wantErr(t, "with a ctx that has ended", err, sqllock.ErrNotAcquired)
		wantErr(t, "with a ctx that has ended", err, errBroken)
	})
}

func TestOnceClosed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		out, err := once.Do(t.Context(), c, "key", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			go c.Close(context.Background())
			<-ctx.Done()
			wantErr(t, "the end of ctx", context.Cause(ctx), sqllock.ErrClosed)
			synctest.Wait()
			return []byte("done"), nil
		})
		wantErr(t, "closed meanwhile", err, once.ErrNotRemembered)
		wantErr(t, "closed meanwhile", err, sqllock.ErrClosed)
		if string(out.Result) != "done" {
			t.Errorf("the result is %q", out.Result)
		}
		_, err = once.Do(t.Context(), c, "key", mustNotRun(t))
		wantErr(t, "closed before", err, sqllock.ErrClosed)
	})
}

func TestOnceRefused(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		for what, test := range map[string]struct {
			key  string
			fn   func(context.Context, *sqllock.Lock) ([]byte, error)
			opts []once.Option
			says string
		}{
			"empty key":    {"", mustNotRun(t), nil, "the key is empty"},
			"long key":     {strings.Repeat("k", 256), mustNotRun(t), nil, "256 bytes"},
			"odd key":      {"a\nb", mustNotRun(t), nil, "control character"},
			"spaced key":   {" a", mustNotRun(t), nil, "space"},
			"no UTF-8":     {"a\xff", mustNotRun(t), nil, "UTF-8"},
			"nil function": {"key", nil, nil, "nil"},
			"nil option":   {"key", mustNotRun(t), []once.Option{nil}, "option 1"},
			"no time":      {"key", mustNotRun(t), []once.Option{once.Keep(0)}, "between 1s and"},
			"negative":     {"key", mustNotRun(t), []once.Option{once.Keep(-time.Hour)}, "-1h"},
			"short": {
				"key", mustNotRun(t), []once.Option{once.Keep(once.MinKeep - 1)}, "between 1s and",
			},
			"for ever": {
				"key", mustNotRun(t), []once.Option{once.Keep(sqllock.MaxHold + 1)}, "between 1s and",
			},
			"TTL": {"key", mustNotRun(t), []once.Option{once.TTL(time.Millisecond)}, "TTL is 1ms"},
		} {
			_, err := once.Do(t.Context(), c, test.key, test.fn, test.opts...)
			wantErr(t, what, err, sqllock.ErrInvalid)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v doesn't say %q", what, err, test.says)
			}
		}
		bare := client(t, db, "b", func(o *sqllock.Options) { o.WithoutTables = true })
		_, err := once.Do(t.Context(), bare, "key", mustNotRun(t))
		wantErr(t, "without tables", err, sqllock.ErrUnsupported)
		if n := db.Calls(sqllocktest.OpRecall); n != 0 {
			t.Errorf("the database was asked %d times for what was refused", n)
		}
	})
}
