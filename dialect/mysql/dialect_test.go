package mysql

import (
	"database/sql"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

func TestNilDB(t *testing.T) {
	ctx, d := t.Context(), New(nil)
	calls := map[string]func() error{
		"Probe":        func() error { _, err := d.Probe(ctx); return err },
		"CreateLease":  func() error { return d.CreateLease(ctx, dialect.Lease{}) },
		"RenewLeases":  func() error { _, err := d.RenewLeases(ctx, []string{"a"}); return err },
		"BuryLeases":   func() error { _, err := d.BuryLeases(ctx, []string{"a"}); return err },
		"BuryExpired":  func() error { _, err := d.BuryExpired(ctx, 1); return err },
		"DeleteLeases": func() error { return d.DeleteLeases(ctx, []string{"a"}) },
		"Acquire":      func() error { _, err := d.Acquire(ctx, make([]dialect.Request, 1)); return err },
		"Release":      func() error { _, err := d.Release(ctx, make([]dialect.Claim, 1)); return err },
		"Guard":        func() error { _, err := d.Guard(ctx, nil, make([]dialect.Claim, 1)); return err },
		"Look":         func() error { _, err := d.Look(ctx, make([]dialect.Key, 1)); return err },
		"Free":         func() error { _, err := d.Free(ctx, make([]dialect.Orphan, 1)); return err },
		"List":         func() error { _, err := d.List(ctx, dialect.Key{}, true, 1); return err },
		"Purge":        func() error { _, err := d.Purge(ctx, 0, 1); return err },
	}
	for name, call := range calls {
		err := call()
		if !errors.Is(err, dialect.ErrInvalid) || d.Classify(err) != dialect.Permanent {
			t.Errorf("%s: %v (class %s)", name, err, d.Classify(err))
		}
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestProbeRefusesOneConnection(t *testing.T) {
	db := sql.OpenDB(nowhere{})
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := New(db).Probe(t.Context()); !errors.Is(err, dialect.ErrInvalid) {
		t.Errorf("MaxOpenConns 1: %v", err)
	}
}

// A server without strict mode would cut these and go on.
func TestCheckRequest(t *testing.T) {
	good := dialect.Request{Key: dialect.Key{Name: strings.Repeat("é", 255)}, LeaseID: "l", Owner: "o", Note: strings.Repeat("é", 255)}
	if err := checkRequest(good); err != nil {
		t.Errorf("refused: %v", err)
	}
	for what, spoil := range map[string]func(*dialect.Request){
		"name":       func(r *dialect.Request) { r.Name += "x" },
		"note":       func(r *dialect.Request) { r.Note += "x" },
		"owner":      func(r *dialect.Request) { r.Owner = strings.Repeat("o", 65) },
		"lease's id": func(r *dialect.Request) { r.LeaseID = "\xff" },
		"slot -1":    func(r *dialect.Request) { r.Slot = -1 },
		"slot 2":     func(r *dialect.Request) { r.Slot = math.MaxInt32 + 1 },
	} {
		bad := good
		spoil(&bad)
		if err := checkRequest(bad); !errors.Is(err, dialect.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestMicros(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		0: 0, 1: 1, 999: 1, 1000: 1, 1001: 2, -1: 0, -1000: -1,
		time.Second: 1e6, math.MaxInt64: math.MaxInt64/1000 + 1, math.MinInt64: math.MinInt64 / 1000,
	} {
		if got := micros(d); got != want {
			t.Errorf("micros(%d ns) = %d, want %d", d, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for us, want := range map[int64]time.Duration{
		0: 0, 1: time.Microsecond, -5: -5 * time.Microsecond,
		math.MaxInt64: math.MaxInt64 / 1000 * 1000, math.MinInt64: -(math.MaxInt64 / 1000 * 1000),
	} {
		if got := duration(us); got != want {
			t.Errorf("duration(%d µs) = %d, want %d", us, got, want)
		}
	}
}
