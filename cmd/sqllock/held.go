package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// The variables of a child's environment.
const (
	envName  = "SQLLOCK_NAME"
	envFence = "SQLLOCK_FENCE"
	envOwner = "SQLLOCK_OWNER"
	envSlot  = "SQLLOCK_SLOT"
)

func env(name string) string { return os.Getenv(name) }

// environment returns the child's environment. If several locks are held, each variable has a line
// for each of them. A session lock has a name only.
func (h *holding) environment(environ []string) []string {
	var out, fences, owners, slots []string
	for _, entry := range environ {
		switch name, _, _ := strings.Cut(entry, "="); name {
		case envName, envFence, envOwner, envSlot:
		default:
			out = append(out, entry)
		}
	}
	for _, fence := range h.fences {
		fences = append(fences, strconv.FormatInt(fence, 10))
	}
	for _, claim := range h.claims {
		owners, slots = append(owners, claim.Owner), append(slots, strconv.Itoa(claim.Slot))
	}
	set := func(name string, lines []string) {
		if len(lines) > 0 {
			out = append(out, name+"="+strings.Join(lines, "\n"))
		}
	}
	set(envName, h.names)
	set(envFence, fences)
	set(envOwner, owners)
	set(envSlot, slots)
	return out
}

// trusted reports, by the clock, whether everything is still held.
func (h *holding) trusted() bool { return h.ctx.Err() == nil }

// errBroken means that somebody has taken the lock away.
var errBroken = errors.New("somebody has broken it, or its row was removed")

// graceFor returns the time between SIGTERM and SIGKILL: for a lock that was broken as long as for
// one whose lease ends; otherwise the lease decides.
func (h *holding) graceFor(cause error) time.Duration {
	if errors.Is(cause, errBroken) {
		return max(min(h.ttl/10, time.Second), time.Millisecond)
	}
	return 0
}

// watched returns a ctx that ends with the lock, and also when somebody has broken the lock, of
// which the holder isn't notified. It reads the locks' rows three times in each TTL. The caller
// must call end.
func (h *holding) watched(db *connection) (ctx context.Context, end context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(h.ctx)
	if len(h.claims) == 0 {
		return ctx, cancel
	}
	go func() {
		ticker := time.NewTicker(max(h.ttl/3, 10*time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if name := h.brokenLock(ctx, db); name != "" {
				cancel(fmt.Errorf("sqllock: %w: %q: %w", sqllock.ErrLost, name, errBroken))
			}
		}
	}()
	return ctx, cancel
}

// brokenLock returns the name of a lock whose row no longer names this acquisition, or "".
func (h *holding) brokenLock(ctx context.Context, db *connection) string {
	keys := make([]dialect.Key, len(h.claims))
	for i, claim := range h.claims {
		keys[i] = claim.Key
	}
	rows, err := db.Dialect.Get(ctx, keys)
	if err != nil || !h.trusted() {
		return "" // unknown, or lost anyway
	}
	for i, claim := range h.claims {
		if rows[i].Owner != claim.Owner {
			return claim.Name
		}
	}
	return ""
}
