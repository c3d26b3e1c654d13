package sqllocktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

var (
	key   = dialect.Key{Name: "n"}
	ask   = []dialect.Request{{Key: key, LeaseID: "l", Owner: "o"}}
	owned = []dialect.Claim{{Key: key, Owner: "o"}}
)

// held reports whether the lock is held, whatever has been scripted for other operations.
func held(t *testing.T, db *sqllocktest.Dialect) bool {
	t.Helper()
	rows, err := db.Get(t.Context(), []dialect.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	return rows[0].Held
}

func TestFailNext(t *testing.T) {
	db := sqllocktest.New()
	db.FailNext(sqllocktest.OpAcquire, 2, dialect.ClassTransient)
	for range 2 {
		_, err := db.Acquire(t.Context(), ask)
		if db.Classify(err) != dialect.ClassTransient || held(t, db) {
			t.Fatalf("%v, held %t", err, held(t, db))
		}
	}
	if _, err := db.Acquire(t.Context(), ask); err != nil || !held(t, db) {
		t.Errorf("after the scripted failures: %v", err)
	}
	if n := db.Calls(sqllocktest.OpAcquire); n != 3 {
		t.Errorf("%d calls counted", n)
	}
}

func TestFailNextOfAny(t *testing.T) {
	db := sqllocktest.New()
	db.FailNext(sqllocktest.Any, 1, dialect.ClassPermanent)
	db.FailNext(sqllocktest.OpProbe, 1, dialect.ClassReadOnly)
	for _, want := range []dialect.Class{dialect.ClassReadOnly, dialect.ClassPermanent} {
		if _, err := db.Probe(t.Context()); db.Classify(err) != want {
			t.Errorf("%v, want class %s", err, want)
		}
	}
	if _, err := db.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLoseReplies(t *testing.T) {
	db := sqllocktest.New()
	db.LoseReplies(sqllocktest.OpAcquire, 1)
	if _, err := db.Acquire(t.Context(), ask); err == nil || db.Classify(err) != dialect.ClassUnknown || !held(t, db) {
		t.Errorf("%v (class %s), held %t; want it carried out and an unknown error", err, db.Classify(err), held(t, db))
	}
}

func TestOutage(t *testing.T) {
	db := sqllocktest.New()
	db.Outage(true)
	if _, err := db.Acquire(t.Context(), ask); db.Classify(err) != dialect.ClassTransient {
		t.Errorf("during the outage: %v", err)
	}
	db.Outage(false)
	if held(t, db) {
		t.Error("carried out during the outage")
	}
	if _, err := db.Acquire(t.Context(), ask); err != nil {
		t.Error(err)
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sqllocktest.New()
		db.Delay(sqllocktest.OpAcquire, time.Minute)
		start := time.Now()
		if _, err := db.Acquire(t.Context(), ask); err != nil || time.Since(start) != time.Minute {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		db.Delay(sqllocktest.OpAcquire, 0)
		if _, err := db.Acquire(t.Context(), ask); err != nil || time.Since(start) != time.Minute {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

// TestLateRequest: a request whose caller has given up still arrives, after what was sent later.
func TestLateRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sqllocktest.New()
		db.Delay(sqllocktest.OpAcquire, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := db.Acquire(ctx, ask)
		if !errors.Is(err, context.DeadlineExceeded) || db.Classify(err) != dialect.ClassUnknown {
			t.Fatalf("Acquire: %v (class %s)", err, db.Classify(err))
		}
		if released, err := db.Release(t.Context(), owned); err != nil || released[0] || held(t, db) {
			t.Fatalf("before it arrives: released %t, %v", released, err)
		}
		time.Sleep(59 * time.Second)
		if !held(t, db) {
			t.Error("it has not arrived")
		}
	})
}

func TestLeasesRunOut(t *testing.T) {
	db := sqllocktest.New()
	for _, id := range []string{"a", "b", "c"} {
		if err := db.CreateLease(t.Context(), dialect.Lease{ID: id, Holder: "h", TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	alive := func(want bool, ids ...string) {
		t.Helper()
		renewed, err := db.RenewLeases(t.Context(), ids)
		for i := range ids {
			if err != nil || renewed[i] != want {
				t.Errorf("lease %s renewed: %t, %v", ids[i], renewed, err)
			}
		}
	}
	if !db.LoseLease("a") || db.LoseLease("a") {
		t.Error("LoseLease must report whether the lease existed")
	}
	alive(false, "a")
	alive(true, "b", "c")
	db.Advance(59 * time.Minute)
	alive(true, "b")
	db.Advance(2 * time.Minute)
	alive(false, "c")
	alive(true, "b")
	db.ExpireAllLeases()
	alive(false, "b")
}

func TestCalls(t *testing.T) {
	db := sqllocktest.New()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Acquire(ended, ask); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := db.Acquire(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if n := db.Calls(sqllocktest.Any); n != 0 {
		t.Errorf("%d calls counted that didn't reach the database", n)
	}
	if _, err := db.Acquire(t.Context(), ask); err != nil {
		t.Error(err)
	}
	if _, err := db.Release(t.Context(), owned); err != nil {
		t.Error(err)
	}
	if one, all := db.Calls(sqllocktest.OpAcquire), db.Calls(sqllocktest.Any); one != 1 || all != 2 {
		t.Errorf("%d of Acquire and %d in all", one, all)
	}
}
