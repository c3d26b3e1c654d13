package sqllock_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// inMemory returns a Client on an engine that costs next to nothing, so that the Client itself is
// measured.
func inMemory(tb testing.TB) *sqllock.Client {
	tb.Helper()
	opts := &sqllock.Options{ReapEvery: -1, Logger: slog.New(slog.DiscardHandler)}
	c, err := sqllock.New(tb.Context(), sqllocktest.New(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func cycle(tb testing.TB, c *sqllock.Client, name string) {
	lock, err := c.Acquire(tb.Context(), name)
	if err == nil {
		err = lock.Release(tb.Context())
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// TestAllocations limits the allocations of the hot path, including the engine in memory. If there
// is a good reason for more, raise the limit and give the reason in the commit.
func TestAllocations(t *testing.T) {
	c := inMemory(t)
	cycle(t, c, "warm") // opens the lease
	const limit = 52
	if n := testing.AllocsPerRun(1000, func() { cycle(t, c, "job") }); n > limit {
		t.Errorf("acquire and release allocate %.0f times; the limit is %d", n, limit)
	}
	cycle(t, c, "held")
	held := mustTry(t, c, "held")
	defer held.Release(t.Context()) //nolint:errcheck // the Client ends with the test
	const limitHeld = 34
	if n := testing.AllocsPerRun(1000, func() { mustHeld(t, c, "held") }); n > limitHeld {
		t.Errorf("a try that finds the lock held allocates %.0f times; the limit is %d", n, limitHeld)
	}
}

// make bench-compare compares these benchmarks.

func BenchmarkAcquireRelease(b *testing.B) {
	c := inMemory(b)
	b.ReportAllocs()
	for b.Loop() {
		cycle(b, c, "job")
	}
}

func BenchmarkAcquireReleaseParallel(b *testing.B) {
	c := inMemory(b)
	b.ReportAllocs()
	b.SetParallelism(32)
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		name := "job/" + strconv.FormatInt(next.Add(1), 10)
		for pb.Next() {
			cycle(b, c, name)
		}
	})
}

func BenchmarkHandOver(b *testing.B) {
	c := inMemory(b)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			cycle(b, c, "hot")
		}
	})
}

func BenchmarkTryHeld(b *testing.B) {
	c := inMemory(b)
	if _, err := c.Acquire(b.Context(), "held"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.TryAcquire(b.Context(), "held"); !errors.Is(err, sqllock.ErrNotAcquired) {
			b.Fatal(err)
		}
	}
}
