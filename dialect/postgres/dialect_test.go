package postgres

import (
	"database/sql"
	"errors"
	"math"
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
}

func TestProbeRefusesOneConnection(t *testing.T) {
	db := sql.OpenDB(nowhere{})
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := New(db).Probe(t.Context()); !errors.Is(err, dialect.ErrInvalid) {
		t.Errorf("MaxOpenConns 1: %v", err)
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

func TestArray(t *testing.T) {
	for want, texts := range map[string][]string{
		`{}`:               nil,
		`{""}`:             {""},
		`{"a","b c"}`:      {"a", "b c"},
		`{"NULL","{x,y}"}`: {"NULL", "{x,y}"},
		`{"\"q\"","\\n'"}`: {`"q"`, `\n'`},
	} {
		if got := array(texts); got != want {
			t.Errorf("array(%q) = %s, want %s", texts, got, want)
		}
	}
}

func TestProduct(t *testing.T) {
	for _, c := range []struct{ banner, number, name, version string }{
		{"PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64", "15.18 (Debian 15.18-0+deb12u1)", "PostgreSQL", "15.18"},
		{"PostgreSQL 18.4 on x86_64-pc-linux-gnu", "18.4", "PostgreSQL", "18.4"},
		{"CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu)", "13.0.0", "CockroachDB", "24.1.0"},
		{"CockroachDB", "13.0.0", "CockroachDB", "13.0.0"},
		{"PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64", "11.2-YB-2.20.1.0-b0", "YugabyteDB", "11.2-YB-2.20.1.0-b0"},
		{"", "", "PostgreSQL", ""},
	} {
		if name, version := product(c.banner, c.number); name != c.name || version != c.version {
			t.Errorf("product(%q, %q) = %q, %q", c.banner, c.number, name, version)
		}
	}
}
