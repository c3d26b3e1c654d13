package sqllock_test

import (
	"context"
	"errors"
	"strings"
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
		"nobody is there": func(db *sqllocktest.Dialect, on bool) { db.Outage(on) },
		"no answer comes": func(db *sqllocktest.Dialect, on bool) {
			if db.Delay(sqllocktest.Any, 0); on {
				db.Delay(sqllocktest.Any, time.Hour)
			}
		},
	}
	for trouble, set := range troubles {
		for what := range acquisitions(nil) {
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
					if !strings.Contains(err.Error(), "the database didn't answer") {
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
	for _, class := range []dialect.Class{dialect.ClassPermanent, dialect.ClassNoSchema, dialect.ClassReadOnly} {
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
