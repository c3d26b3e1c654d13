package engine

import (
	"errors"
	"math"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

func TestMicros(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		0: 0, 1: 1, 999: 1, 1000: 1, 1001: 2, -1: 0, -1000: -1,
		time.Second: 1e6, math.MaxInt64: math.MaxInt64/1000 + 1, math.MinInt64: math.MinInt64 / 1000,
	} {
		if got := Micros(d); got != want {
			t.Errorf("Micros(%d ns) = %d, want %d", d, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for us, want := range map[int64]time.Duration{
		0: 0, 1: time.Microsecond, -5: -5 * time.Microsecond,
		math.MaxInt64: math.MaxInt64 / 1000 * 1000, math.MinInt64: -(math.MaxInt64 / 1000 * 1000),
	} {
		if got := Duration(us); got != want {
			t.Errorf("Duration(%d µs) = %d, want %d", us, got, want)
		}
	}
}

func TestEach(t *testing.T) {
	asked := 0
	ask := func(n int) (int, error) {
		asked++
		if n < 0 {
			return 0, errors.New("negative")
		}
		return 2 * n, nil
	}
	if out, err := Each(nil, ask); out != nil || err != nil || asked > 0 {
		t.Errorf("of nothing: %v, %v after %d calls", out, err, asked)
	}
	if out, err := Each([]int{1, 2}, ask); err != nil || len(out) != 2 || out[1] != 4 {
		t.Errorf("%v, %v", out, err)
	}
	if out, err := Each([]int{1, -1, 2}, ask); out != nil || err == nil || asked != 4 {
		t.Errorf("%v, %v after %d calls; want it to stop at the error", out, err, asked)
	}
}

func TestStatement(t *testing.T) {
	files := fstest.MapFS{"sql/a.sql": {Data: []byte("-- Why.\nSELECT 1\n  -- and this\nFROM t\n")}}
	if got := Statement(files, "a"); got != "SELECT 1\nFROM t" {
		t.Errorf("%q", got)
	}
}

func TestAddLeases(t *testing.T) {
	rows := []dialect.Row{
		{Held: true, LeaseID: "live"},
		{},
		{Held: true, LeaseID: "over"},
		{Held: true, LeaseID: "gone"},
		{Held: true, LeaseID: "live"},
	}
	err := AddLeases(rows, func(ids []string) ([]Lease, error) {
		if len(ids) != 3 {
			t.Errorf("asked for %q", ids)
		}
		return []Lease{
			{ID: "over", Holder: "o", Remaining: -time.Second},
			{ID: "live", Holder: "l", Remaining: time.Second},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []dialect.Row{
		{Held: true, LeaseID: "live", Lease: dialect.LeaseLive, Holder: "l", Remaining: time.Second},
		{},
		{Held: true, LeaseID: "over", Lease: dialect.LeaseExpired, Holder: "o", Remaining: -time.Second},
		{Held: true, LeaseID: "gone"},
		{Held: true, LeaseID: "live", Lease: dialect.LeaseLive, Holder: "l", Remaining: time.Second},
	} {
		if rows[i] != want {
			t.Errorf("row %d: %+v, want %+v", i, rows[i], want)
		}
	}
	if err := AddLeases(rows[1:2], nil); err != nil {
		t.Error("no row is held, and yet:", err)
	}
	failure := errors.New("failure")
	if err := AddLeases(rows, func([]string) ([]Lease, error) { return nil, failure }); !errors.Is(err, failure) {
		t.Error(err)
	}
}

func TestClosedAndNone(t *testing.T) {
	if err := ErrDBClosed(); err == nil || err.Error() != "sql: database is closed" {
		t.Error(err)
	}
	if _, err := Exec(t.Context(), NoDB{}, ""); !errors.Is(err, dialect.ErrInvalid) {
		t.Error(err)
	}
	if _, err := Query(t.Context(), NoDB{}, One[int], ""); !errors.Is(err, dialect.ErrInvalid) {
		t.Error(err)
	}
}

func TestResolution(t *testing.T) {
	for want, step := range map[time.Duration]time.Duration{
		time.Microsecond: 123_457 * time.Microsecond, 100: 1_234_500,
		10 * time.Millisecond: 30 * time.Millisecond, time.Second: 0,
	} {
		var now time.Duration
		got, err := Resolution(func() (time.Duration, error) { now += step; return now % time.Second, nil })
		if err != nil || got != want {
			t.Errorf("in steps of %s: %s, %v; want %s", step, got, err, want)
		}
	}
	failure := errors.New("failure")
	if _, err := Resolution(func() (time.Duration, error) { return 0, failure }); !errors.Is(err, failure) {
		t.Error(err)
	}
}
