package sqllock_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// journal keeps what a Client logs at Info, by its message.
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
func runs(ctx context.Context, e *sqllock.Election, fn func(context.Context, *sqllock.Term) error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx, fn) }()
	return done
}

// leads tells who leads, empty: nobody.
func leads(t *testing.T, e *sqllock.Election) string {
	t.Helper()
	l, _, err := e.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l.Holder
}

// untilEnd is a leader's function that does nothing until its ctx ends.
func untilEnd(ctx context.Context, _ *sqllock.Term) error {
	<-ctx.Done()
	return nil
}

// Run ends with what fn returned on its own, and has resigned by then.
func TestRunReturns(t *testing.T) {
	boom := errors.New("boom")
	for _, want := range []error{nil, boom} {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			j := &journal{}
			e := candidate(t, client(t, db, "one", logged(j)))
			err := e.Run(t.Context(), func(ctx context.Context, term *sqllock.Term) error {
				if leads(t, e) != "one" || term.Guard(ctx, nil) != nil {
					t.Error("fn runs, and doesn't lead")
				}
				return want
			})
			if err != want { //nolint:errorlint // as it is
				t.Errorf("Run = %v; want %v", err, want)
			}
			if l := leads(t, e); l != "" {
				t.Errorf("%s leads after Run", l)
			}
			j.expect(t, "Run", saysStarted, saysStopped)
		})
	}
}

// When ctx ends the leader resigns, and only after fn has returned, however long that takes.
func TestRunResignsAfterFn(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		j := &journal{}
		e, other := candidate(t, client(t, db, "one", logged(j))), candidate(t, client(t, db, "two"))
		ctx, cancel := context.WithCancel(t.Context())
		returned := false
		done := runs(ctx, e, func(ctx context.Context, term *sqllock.Term) error {
			<-ctx.Done()
			wantErr(t, "cause", context.Cause(ctx), context.Canceled)
			time.Sleep(time.Minute) // it finishes what it is at
			if err := term.Guard(t.Context(), nil); err != nil {
				t.Error("the lock went before fn returned:", err)
			}
			returned = true
			return nil
		})
		next := make(chan *sqllock.Term, 1)
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

// "stopped leading" is said only by who has led.
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
		j.expect(t, "one who never led")
	})
}

// The term is lost: fn's ctx ends before anybody else can lead; Run waits for fn, and then campaigns again.
func TestRunAfterLoss(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		j := &journal{}
		cut := &cuttable{Dialect: db}
		e, other := candidate(t, client(t, cut, "one", logged(j))), candidate(t, client(t, db, "two"))
		terms, winding := []int64{}, make(chan struct{})
		done := runs(t.Context(), e, func(ctx context.Context, term *sqllock.Term) error {
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
			return errors.New("not told by Run, but logged")
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

// The term is lost, and only the database knows yet: fn, told so by Guard, returns at once.
func TestRunAfterBreak(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "one")
		n := 0
		err := candidate(t, c).Run(t.Context(), func(ctx context.Context, term *sqllock.Term) error {
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
		_ = e.Run(t.Context(), func(context.Context, *sqllock.Term) error { panic("boom") })
	})
}

// fn resigns itself: Run has nothing more to do than to return.
func TestRunResigned(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		err := candidate(t, client(t, db, "one")).Run(t.Context(), func(ctx context.Context, term *sqllock.Term) error {
			err := term.Resign(ctx)
			<-ctx.Done()
			wantErr(t, "cause", context.Cause(ctx), sqllock.ErrNotHeld)
			return err
		})
		wantErr(t, "Run", err, nil)
	})
}

// The Client is closed under a leader: fn's ctx ends, and Run with it.
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

// An outage doesn't end Run, neither while it campaigns nor while it leads; what the database refuses for good does.
func TestRunOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		e := candidate(t, client(t, db, "one"))
		terms := 0
		db.Outage(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := runs(ctx, e, func(ctx context.Context, term *sqllock.Term) error {
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
