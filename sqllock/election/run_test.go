package election_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// journal keeps the messages that a Client logs at Info.
type journal struct {
	slog.Handler
	mu   sync.Mutex
	said []string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Level == slog.LevelInfo {
		j.said = append(j.said, r.Message)
	}
	return nil
}

func (j *journal) says() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.said)
}

func (j *journal) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	if said := j.says(); !slices.Equal(said, want) {
		t.Errorf("%s: it said %q; want %q", what, said, want)
	}
}

func logged(j *journal) func(*sqllock.Options) {
	return func(o *sqllock.Options) { o.Logger = slog.New(j) }
}

const (
	saysStarted = "sqllock: started leading"
	saysStopped = "sqllock: stopped leading"
)

// runs runs an election in the background.
func runs(ctx context.Context, e *election.Election, fn func(context.Context, *election.Term) error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx, fn) }()
	return done
}

// leads returns who leads, or "" if nobody does.
func leads(t *testing.T, e *election.Election) string {
	t.Helper()
	l, _, err := e.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l.Holder
}

// untilEnd is a leader's function that only waits until its ctx ends.
func untilEnd(ctx context.Context, _ *election.Term) error {
	<-ctx.Done()
	return nil
}

// Run returns what fn returned of its own accord, and has resigned by then.
func TestRunReturns(t *testing.T) {
	boom := errors.New("boom")
	for _, want := range []error{nil, boom} {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			j := &journal{}
			e := candidate(t, client(t, db, "one", logged(j)))
			err := e.Run(t.Context(), func(ctx context.Context, term *election.Term) error {
				if leads(t, e) != "one" || term.Guard(ctx, nil) != nil {
					t.Error("fn runs, and doesn't lead")
				}
				return want
			})
			if err != want { //nolint:errorlint // the very same error
				t.Errorf("Run = %v; want %v", err, want)
			}
			if l := leads(t, e); l != "" {
				t.Errorf("%s leads after Run", l)
			}
			j.expect(t, "Run", saysStarted, saysStopped)
		})
	}
}

// When ctx ends the leader resigns, but only after fn has returned, however long that takes.
func TestRunResignsAfterFn(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		j := &journal{}
		e, other := candidate(t, client(t, db, "one", logged(j))), candidate(t, client(t, db, "two"))
		ctx, cancel := context.WithCancel(t.Context())
		returned := false
		done := runs(ctx, e, func(ctx context.Context, term *election.Term) error {
			<-ctx.Done()
			wantErr(t, "cause", context.Cause(ctx), context.Canceled)
			time.Sleep(time.Minute) // it finishes its work
			if err := term.Guard(t.Context(), nil); err != nil {
				t.Error("the lock went before fn returned:", err)
			}
			returned = true
			return nil
		})
		next := make(chan *election.Term, 1)
		time.Sleep(time.Second)
		go func() { next <- mustLead(t, other) }()
		time.Sleep(time.Second)
		cancel()
		synctest.Wait()
		j.expect(t, "while fn winds up", saysStarted)
		<-next
		if !returned {
			t.Error("another leads before fn has returned")
		}
		wantErr(t, "Run", <-done, nil)
		j.expect(t, "in the end", saysStarted, saysStopped)
	})
}

// Only a process that has led logs "stopped leading".
func TestNeverLed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		mustLead(t, candidate(t, client(t, db, "one")))
		j := &journal{}
		two := client(t, db, "two", logged(j))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := candidate(t, two).Run(ctx, nobody(t))
		wantErr(t, "Run", err, sqllock.ErrNotAcquired)
		wantErr(t, "Run", err, context.DeadlineExceeded)
		if err := two.Close(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		j.expect(t, "a process that never led")
	})
}

// The term is lost: fn's ctx ends before anybody else can lead. Run waits for fn, and then
// campaigns again.
func TestRunAfterLoss(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		j := &journal{}
		cut := &cuttable{Dialect: db}
		e, other := candidate(t, client(t, cut, "one", logged(j))), candidate(t, client(t, db, "two"))
		terms, winding := []int64{}, make(chan struct{})
		done := runs(t.Context(), e, func(ctx context.Context, term *election.Term) error {
			terms = append(terms, term.Number())
			if len(terms) == 2 {
				return errors.New("enough")
			}
			<-ctx.Done()
			wantErr(t, "cause", context.Cause(ctx), sqllock.ErrLost)
			if l := leads(t, other); l != "one" {
				t.Errorf("%q leads when fn's ctx ends; want the old leader's lease still to last", l)
			}
			<-winding
			return errors.New("not returned by Run, but logged")
		})
		time.Sleep(time.Second)
		cut.off.Store(true)
		term := mustLead(t, other)
		cut.off.Store(false)
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if l := leads(t, other); l != "" {
			t.Errorf("%s leads before fn has returned", l)
		}
		close(winding)
		if err := <-done; err == nil || err.Error() != "enough" {
			t.Errorf("Run = %v", err)
		}
		if len(terms) != 2 || terms[1] <= term.Number() || term.Number() <= terms[0] {
			t.Errorf("terms %v, and %d between them", terms, term.Number())
		}
		synctest.Wait()
		said := slices.DeleteFunc(j.says(), func(s string) bool { return s != saysStarted && s != saysStopped })
		if want := []string{saysStarted, saysStopped, saysStarted, saysStopped}; !slices.Equal(said, want) {
			t.Errorf("it said %q", said)
		}
	})
}

// The term is lost, and only the database knows it yet: fn learns it from Guard and returns at
// once.
func TestRunAfterBreak(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "one")
		n := 0
		err := candidate(t, c).Run(t.Context(), func(ctx context.Context, term *election.Term) error {
			if n++; n == 3 {
				return nil
			}
			if _, err := client(t, db, "admin").Break(ctx, "boss", term.Number()); err != nil {
				t.Fatal(err)
			}
			if n == 1 {
				return nil // found at the release
			}
			return term.Guard(ctx, nil)
		})
		if err != nil || n != 3 {
			t.Errorf("Run = %v after %d terms; want nil after 3", err, n)
		}
	})
}

// fn panics: the leader resigns, and the panic goes on.
func TestRunPanics(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		e := candidate(t, client(t, db, "one"))
		defer func() {
			if r := recover(); r != "boom" {
				t.Errorf("recovered %v", r)
			}
			if l := leads(t, e); l != "" {
				t.Errorf("%s leads after its panic", l)
			}
		}()
		_ = e.Run(t.Context(), func(context.Context, *election.Term) error { panic("boom") })
	})
}

// fn resigns itself: Run only returns.
func TestRunResigned(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		e := candidate(t, client(t, db, "one"))
		err := e.Run(t.Context(), func(ctx context.Context, term *election.Term) error {
			err := term.Resign(ctx)
			<-ctx.Done()
			wantErr(t, "cause", context.Cause(ctx), sqllock.ErrNotHeld)
			return err
		})
		wantErr(t, "Run", err, nil)
	})
}

// The Client is closed while it leads: fn's ctx ends, and so does Run.
func TestRunClosed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		j := &journal{}
		c := client(t, db, "one", logged(j))
		done := runs(t.Context(), candidate(t, c), untilEnd)
		time.Sleep(time.Second)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, "Run", <-done, sqllock.ErrClosed)
		synctest.Wait()
		j.expect(t, "one whose Client was closed", saysStarted, saysStopped)
	})
}

// An outage doesn't end Run, neither while it campaigns nor while it leads. A permanent error does.
func TestRunOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		e := candidate(t, client(t, db, "one"))
		terms := 0
		db.Outage(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := runs(ctx, e, func(ctx context.Context, term *election.Term) error {
			terms++
			return untilEnd(ctx, term)
		})
		for range 3 {
			time.Sleep(time.Minute)
			db.Outage(false)
			time.Sleep(time.Minute)
			if l := leads(t, e); l != "one" {
				t.Errorf("%q leads after the outage", l)
			}
			db.Outage(true)
		}
		db.Outage(false)
		cancel()
		wantErr(t, "Run", <-done, nil)
		if terms != 3 {
			t.Errorf("%d terms; want one after each outage", terms)
		}
		db.FailNext(sqllocktest.OpAcquire, 1, permanent)
		if err := e.Run(t.Context(), nobody(t)); err == nil {
			t.Error("Run goes on after a permanent error")
		}
	})
}

// A process that is told to end while it doesn't lead has not failed: Run returns nil, as it does
// for a leader.
func TestRunStandbyEnds(t *testing.T) {
	boom := errors.New("boom")
	for name, standby := range map[string]func(t *testing.T, db *sqllocktest.Dialect){
		"another leads": func(t *testing.T, db *sqllocktest.Dialect) {
			mustLead(t, candidate(t, client(t, db, "leader")))
		},
		"campaigning fails": func(t *testing.T, db *sqllocktest.Dialect) {
			db.FailNext(sqllocktest.OpAcquire, 10_000, dialect.ClassReadOnly)
		},
		"in an outage": func(t *testing.T, db *sqllocktest.Dialect) {
			db.FailNext(sqllocktest.OpAcquire, 10_000, dialect.ClassTransient)
		},
		"staying out": func(t *testing.T, db *sqllocktest.Dialect) {
			go func() {
				time.Sleep(55 * time.Second)
				wantErr(t, "HandOver", candidate(t, client(t, db, "operator")).HandOver(t.Context()), nil)
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ends := map[string]struct {
				ctx  func(ctx context.Context) (context.Context, context.CancelFunc)
				want error
			}{
				"canceled": {context.WithCancel, nil},
				"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
					return context.WithTimeout(ctx, time.Minute)
				}, context.DeadlineExceeded},
				"cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
					ctx, cancel := context.WithCancelCause(ctx)
					return ctx, func() { cancel(boom) }
				}, boom},
			}
			for what, end := range ends {
				bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
					standby(t, db)
					ctx, cancel := end.ctx(t.Context())
					defer cancel()
					done := runs(ctx, candidate(t, client(t, db, "one")), untilEnd)
					time.Sleep(58 * time.Second)
					select {
					case err := <-done:
						t.Fatalf("%s: Run ends before its ctx: %v", what, err)
					default:
					}
					if what == "deadline" {
						<-ctx.Done()
					}
					cancel()
					wantErr(t, what, <-done, end.want)
					db.FailNext(sqllocktest.OpAcquire, 0, dialect.ClassTransient)
				})
			}
		})
	}
}

// Run returns the error that ends it permanently, even if ctx ends at the same time.
func TestRunStandbyClosed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		mustLead(t, candidate(t, client(t, db, "leader")))
		c := client(t, db, "one")
		ctx, cancel := context.WithCancel(t.Context())
		done := runs(ctx, candidate(t, c), nobody(t))
		time.Sleep(time.Minute)
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		cancel()
		wantErr(t, "Run", <-done, sqllock.ErrClosed)
	})
}
