package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clock is the clock of a server that was started with the [Option] from [MovableClock]. Its
// methods are safe for concurrent use.
type Clock struct {
	t    testing.TB
	file string

	mu     sync.Mutex
	offset time.Duration
}

// MovableClock returns a clock for a server of [Private], based on libfaketime, and the option for
// Private. The clock shows the machine's time until it is moved. If libfaketime isn't installed,
// the test is skipped, or fails if SQLLOCK_TEST_REQUIRE names faketime.
func MovableClock(t testing.TB, engine string) (Option, *Clock) {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if err != nil || len(found) == 0 {
		Missing(t, "faketime", fmt.Errorf("no /usr/lib/*/faketime/libfaketimeMT.so.1: %w", os.ErrNotExist))
	}
	dir, err := newDir("faketime")
	if err != nil {
		Missing(t, "faketime", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &Clock{t: t, file: filepath.Join(dir, "clock")}
	c.Move(0)
	// PostgreSQL's processes must share one clock, so each of them reads the file whenever it reads
	// the clock. A server that is a single process reads the clock so often that this would slow it
	// down, so it reads the file once a second. The monotonic clock, by which servers wait, is not
	// moved.
	reading := "FAKETIME_CACHE_DURATION=1"
	if strings.HasPrefix(engine, "postgres") {
		reading = "FAKETIME_NO_CACHE=1"
	}
	environment := []string{
		"env", "LD_PRELOAD=" + found[0], "FAKETIME_TIMESTAMP_FILE=" + c.file, reading, "FAKETIME_DONT_FAKE_MONOTONIC=1",
	}
	return func(l *local) { l.before = environment }, c
}

// Move sets the clock forward by that duration, or back if it is negative. The server follows
// within a second or two.
func (c *Clock) Move(by time.Duration) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
	next := c.file + ".next"
	err := os.WriteFile(next, fmt.Appendf(nil, "%+d", int64(c.offset/time.Second)), 0o644)
	if err == nil {
		err = os.Rename(next, c.file)
	}
	if err != nil {
		c.t.Fatal("moving the server's clock:", err)
	}
}

// Offset returns how far the clock is ahead of the machine's.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}
