package sqllock_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// acquisitions are the calls that wait until they have what they ask for, or their ctx ends.
func acquisitions(c *sqllock.Client) map[string]func(ctx context.Context) error {
	acquire := func(opts ...any) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			lock, err := locktest.Take(ctx, c, "job", opts...)
			if err != nil {
				return err
			}
			return lock.Release(ctx)
		}
	}
	return map[string]func(ctx context.Context) error{
		"a lease lock": acquire(),
		"fairly":       acquire(sqllock.Fair()),
		"shared":       acquire(locktest.Shared),
		"a permit":     acquire(locktest.Permits(2)),
		"a session":    acquire(locktest.Session),
		"several": func(ctx context.Context) error {
			set, err := c.AcquireAll(ctx, []string{"a", "b", "c"})
			if err != nil {
				return err
			}
			return set.Release(ctx)
		},
		"an election": func(ctx context.Context) error {
			e, err := election.New(c, "boss")
			if err != nil {
				return err
			}
			term, err := e.Campaign(ctx)
			if err != nil {
				return err
			}
			return term.Resign(ctx)
		},
		"Do": func(ctx context.Context) error {
			return c.Do(ctx, "do", func(context.Context, *sqllock.Lock) error { return nil })
		},
	}
}

// TestAcquisitionsSitOutAnOutage: they wait for the database as they wait for a holder, however
// long that takes.
func TestAcquisitionsSitOutAnOutage(t *testing.T) {
	const lasts = time.Minute
	troubles := map[string]func(db *sqllocktest.Dialect, on bool){
		"no writes":       func(db *sqllocktest.Dialect, on bool) { db.Demote(on) },
		"nobody is there": func(db *sqllocktest.Dialect, on bool) { db.Outage(on) },
		"no answer comes": func(db *sqllocktest.Dialect, on bool) {
			if db.Delay(sqllocktest.Any, 0); on {
				db.Delay(sqllocktest.Any, time.Hour)
			}
		},
	}
	for trouble, set := range troubles {
		for what := range acquisitions(nil) {
			if trouble == "no writes" && what == "a session" { // it needs none
				continue
			}
			t.Run(trouble+"/"+what, func(t *testing.T) {
				bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
					acquire := acquisitions(client(t, db, "a"))[what]
					set(db, true)
					ctx, cancel := context.WithTimeout(t.Context(), lasts/2)
					defer cancel()
					began := time.Now()
					err := acquire(ctx)
					wantErr(t, "given up", err, sqllock.ErrNotAcquired)
					wantErr(t, "given up", err, context.DeadlineExceeded)
					if took := time.Since(began); took != lasts/2 {
						t.Errorf("gave up after %s, and its ctx ends after %s", took, lasts/2)
					}
					if !strings.Contains(err.Error(), "the database couldn't be used") {
						t.Errorf("the error doesn't say that the database was away: %v", err)
					}
					time.AfterFunc(lasts, func() { set(db, false) })
					began = time.Now()
					if err := acquire(t.Context()); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took < lasts || took > lasts+10*time.Second {
						t.Errorf("acquired after %s; the outage lasts %s", took, lasts)
					}
				})
			})
		}
	}
}

// TestQueueingSitsOutAnOutage: a queue entry that can't be written for the time being doesn't end
// the wait either.
func TestQueueingSitsOutAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock := mustTry(t, client(t, db, "holder"), "job")
		db.Delay(sqllocktest.OpEnqueue, time.Hour)
		time.AfterFunc(time.Minute, func() {
			db.Delay(sqllocktest.OpEnqueue, 0)
			if err := lock.Release(context.Background()); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		next, err := client(t, db, "waiter").Acquire(t.Context(), "job")
		if err != nil {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		mustRelease(t, next)
	})
}

// TestRefusalsAreNotSatOut: what the database refuses is an error at once.
func TestRefusalsAreNotSatOut(t *testing.T) {
	for _, class := range []dialect.Class{dialect.ClassPermanent, dialect.ClassNoSchema} {
		for what := range acquisitions(nil) {
			if what == "a session" { // it needs no row
				continue
			}
			t.Run(class.String()+"/"+what, func(t *testing.T) {
				bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
					refuse := func(op sqllocktest.Op) bool { return op != sqllocktest.OpGet }
					d := &testkit.Refusing{Dialect: db, Class: class, Refuse: refuse}
					began := time.Now()
					err := acquisitions(client(t, d, "a"))[what](t.Context())
					if err == nil || errors.Is(err, sqllock.ErrNotAcquired) {
						t.Errorf("error is %v", err)
					}
					if took := time.Since(began); took > time.Second {
						t.Errorf("it took %s to say so", took)
					}
				})
			})
		}
	}
}

// TestHeldThroughAFailover: while the server takes no writes, a lock is kept for as long as its
// lease lasts, and a release is retried; what the failover outlasts is lost.
func TestHeldThroughAFailover(t *testing.T) {
	for what, test := range map[string]struct {
		lasts time.Duration
		lost  bool
	}{
		"shorter than the lease": {sqllock.DefaultTTL / 2, false},
		"longer than the lease":  {sqllock.DefaultTTL * 2, true},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				lock := mustTry(t, client(t, db, "a"), "job")
				db.Demote(true)
				time.Sleep(test.lasts)
				db.Demote(false)
				time.Sleep(sqllock.DefaultTTL)
				if lost := lock.Context().Err() != nil; lost != test.lost {
					t.Errorf("lost is %t after %s: %v", lost, test.lasts, context.Cause(lock.Context()))
				}
				if !test.lost {
					mustRelease(t, lock)
				}
			})
		})
	}
}

// TestShortCallsInAFailover: calls that don't wait for a holder wait five seconds for a server that
// takes writes, and then say what is wrong.
func TestShortCallsInAFailover(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		held := mustTry(t, c, "held")
		calls := map[string]func() error{
			"TryAcquire": func() error { _, err := c.TryAcquire(t.Context(), "job"); return err },
			"Release":    func() error { return held.Release(t.Context()) },
		}
		for what, call := range calls {
			db.Demote(true)
			began := time.Now()
			err := call()
			if took := time.Since(began); took < 4*time.Second || took > 6*time.Second {
				t.Errorf("%s gave up after %s", what, took)
			}
			says := err != nil && strings.Contains(err.Error(), "takes no writes")
			if !says || errors.Is(err, sqllock.ErrUnsupported) {
				t.Errorf("%s: %v", what, err)
			}
			db.Demote(false)
		}
		time.AfterFunc(2*time.Second, func() { db.Demote(false) })
		db.Demote(true)
		mustRelease(t, mustTry(t, c, "job"))
	})
}

// TestOnWaitHearsOfAnOutage: OnWait gets the holder, then the outage, and then the holder again.
func TestOnWaitHearsOfAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock := mustTry(t, client(t, db, "holder"), "job", sqllock.WithTTL(time.Minute)) // outlives the outage
		var heard []string
		hear := sqllock.OnWait(func(held *sqllock.HeldError) {
			if held.Outage != nil {
				heard = append(heard, "outage")
				return
			}
			heard = append(heard, held.Holder)
		})
		time.AfterFunc(time.Minute, func() { db.Outage(true) })
		time.AfterFunc(time.Minute+10*time.Second, func() { db.Outage(false) })
		time.AfterFunc(2*time.Minute, func() { _ = lock.Release(context.Background()) })
		next, err := client(t, db, "waiter").Acquire(t.Context(), "job", hear)
		if err != nil {
			t.Fatal(err)
		}
		mustRelease(t, next)
		if got := strings.Join(heard, ", "); got != "holder, outage, holder" {
			t.Errorf("OnWait heard of: %s", got)
		}
	})
}

// TestNewWaitsForDatabase: with WaitForDatabase, New waits for a database that comes up later, and
// for nothing else.
func TestNewWaitsForDatabase(t *testing.T) {
	waiting := &sqllock.Options{WaitForDatabase: true}
	for what, set := range map[string]func(db *sqllocktest.Dialect, on bool){
		"unreachable": func(db *sqllocktest.Dialect, on bool) { db.Outage(on) },
		"read-only":   func(db *sqllocktest.Dialect, on bool) { db.Demote(on) },
		"silent": func(db *sqllocktest.Dialect, on bool) {
			if db.Delay(sqllocktest.Any, 0); on {
				db.Delay(sqllocktest.Any, time.Hour)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				set(db, true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := sqllock.New(ctx, db, waiting)
				wantErr(t, "its ctx has ended", err, context.DeadlineExceeded)
				time.AfterFunc(10*time.Minute, func() { set(db, false) })
				began := time.Now()
				c, err := sqllock.New(t.Context(), db, waiting)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < 10*time.Minute || took > 11*time.Minute {
					t.Errorf("New took %s", took)
				}
				if err := c.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
	_, err := sqllock.New(t.Context(), sqllocktest.New(), &sqllock.Options{WaitForDatabase: true, Unprobed: true})
	wantErr(t, "without a probe", err, sqllock.ErrInvalid)
	for _, class := range []dialect.Class{dialect.ClassPermanent, dialect.ClassNoSchema} {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			db.FailNext(sqllocktest.OpProbe, 1, class)
			began := time.Now()
			if _, err := sqllock.New(t.Context(), db, waiting); err == nil || time.Since(began) > 0 {
				t.Errorf("%s: New = %v after %s", class, err, time.Since(began))
			}
		})
	}
}

// TestClockSkew: a standby whose clock is ahead ends leases early. With ClockSkew the holder has
// given up by then; without it, it may not have.
func TestClockSkew(t *testing.T) {
	const ahead = 3 * time.Second
	for skew, safe := range map[time.Duration]bool{ahead: true, 0: false} {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			var cut atomic.Bool
			cutOff := &testkit.Refusing{Dialect: db, Class: dialect.ClassTransient, Refuse: func(sqllocktest.Op) bool {
				return cut.Load()
			}}
			holder, err := sqllock.New(t.Context(), cutOff, &sqllock.Options{ClockSkew: skew})
			if err != nil {
				t.Fatal(err)
			}
			defer holder.Close(t.Context())
			lock := mustTry(t, holder, "job")
			next := client(t, db, "next")
			cut.Store(true)
			db.Advance(ahead) // the standby takes over
			taken, err := next.Acquire(t.Context(), "job")
			if err != nil {
				t.Fatal(err)
			}
			if ended := lock.Context().Err() != nil; ended != safe {
				t.Errorf("with a ClockSkew of %s, the holder has given up before the next one came: %t", skew, ended)
			}
			mustRelease(t, taken)
		})
	}
	_, err := sqllock.New(t.Context(), sqllocktest.New(), &sqllock.Options{TTL: time.Second, ClockSkew: time.Second})
	wantErr(t, "a ClockSkew of the whole TTL", err, sqllock.ErrInvalid)
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c, err := sqllock.New(t.Context(), db, &sqllock.Options{ClockSkew: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		_, err = c.TryAcquire(t.Context(), "job", sqllock.WithTTL(time.Second))
		wantErr(t, "a TTL that is no longer than ClockSkew", err, sqllock.ErrInvalid)
	})
}
