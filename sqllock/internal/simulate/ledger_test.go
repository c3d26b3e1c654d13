package simulate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// violation is an invariant that was broken.
type violation struct {
	invariant string // its name, by which a shortened schedule must fail too
	at        time.Duration
	details   string
}

func (v *violation) Error() string { return fmt.Sprintf("%s, at %s: %s", v.invariant, v.at, v.details) }

// held is something that a caller holds and may rely on until ctx ends.
type held struct {
	process *process
	action  action
	key     dialect.Key // its row; of a session lock, its name and the slot -1
	scope   dialect.Key // what it excludes others from; several permits, or readers and writers, have one
	ctx     context.Context
	owner   string // the owner token; empty if it isn't known
	fence   int64
	shared  bool // may be held together with others of its scope that are shared
	permits int  // of the semaphore: how many may be held together
	later   bool // other statements have followed the grant, and it may have been lost meanwhile
}

// trusted reports whether the holder may rely on what it holds.
func (h *held) trusted() bool { return h.ctx.Err() == nil }

func (h *held) String() string {
	return fmt.Sprintf("%s holds %q/%d with fence %d (%s)", h.process.holder, h.key.Name, h.key.Slot, h.fence, h.action)
}

// ledger knows who holds what, and what has been written, remembered and led. It checks the
// invariants.
type ledger struct {
	w *world

	mu       sync.Mutex
	first    *violation
	held     []*held
	fences   map[dialect.Key]int64 // the last one that was granted to a holder that could rely on it
	writes   map[dialect.Key]int64 // the fence of the last guarded write that was committed
	outcomes map[string]string     // of once: the outcome that a caller got
	terms    map[int64]string      // who led
	grants   int
	unclear  time.Time // until then a lease may have ended without its holder's knowledge
	suspend  time.Time // when the host was suspended last
}

func newLedger(w *world) *ledger {
	return &ledger{
		w: w, fences: make(map[dialect.Key]int64), writes: make(map[dialect.Key]int64),
		outcomes: make(map[string]string), terms: make(map[int64]string),
	}
}

// violated records a violation, unless there was one before.
func (l *ledger) violated(invariant, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violatedLocked(invariant, format, args...)
}

func (l *ledger) violatedLocked(invariant, format string, args ...any) {
	if l.first == nil {
		l.first = &violation{invariant, time.Since(l.w.began), fmt.Sprintf(format, args...)}
	}
}

// found returns the first violation, or nil.
func (l *ledger) found() *violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// granted records a grant, and checks it against everything else that is held.
func (l *ledger) granted(h *held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grants++
	if h.process.dead() {
		return
	}
	l.held = append(l.held, h)
	if l.excused(h) {
		return
	}
	if !h.trusted() {
		if !h.later && !h.process.gone() && time.Since(l.suspend) > unnoticed {
			l.violatedLocked("a grant can be relied on when it arrives", "%s: %v", h, context.Cause(h.ctx))
		}
		return
	}
	l.checkLocked(h)
	if h.fence == 0 {
		return
	}
	if last := l.fences[h.key]; h.fence <= last {
		l.violatedLocked("fences only grow", "%s, and an earlier holder had %d", h, last)
	}
	l.fences[h.key] = h.fence
}

// unnoticed is for how long a process may not notice that its host was suspended when it gets a
// grant. The grant's context says at once that it is over.
const unnoticed = 5 * time.Millisecond

// released removes what was released.
func (l *ledger) released(h *held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = slices.DeleteFunc(l.held, func(other *held) bool { return other == h })
}

// died removes what a killed process held.
func (l *ledger) died(p *process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = slices.DeleteFunc(l.held, func(h *held) bool { return h.process == p })
}

// check checks something that is held against everything else.
func (l *ledger) check(h *held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checkLocked(h)
}

// checkAll checks everything that is held.
func (l *ledger) checkAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.held {
		l.checkLocked(h)
	}
}

// excused reports whether what h holds may have ended before its holder can know: because the
// database's clock has stepped ahead, or because the database ended a session.
func (l *ledger) excused(h *held) bool {
	return time.Now().Before(l.unclear) || h.key.Slot == sessionSlot && l.w.schedule.has(cutSessions)
}

// stepped records that the database's clock stepped ahead, or that the host was suspended.
func (l *ledger) stepped(ahead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ahead {
		l.unclear = time.Now().Add(2 * l.w.schedule.ttl)
	} else {
		l.suspend = time.Now()
	}
}

func (l *ledger) checkLocked(h *held) {
	if l.excused(h) || !h.trusted() {
		return
	}
	l.checkRow(h)
	together := 1
	for _, other := range l.held {
		if other == h || other.scope != h.scope || !other.trusted() {
			continue
		}
		together++
		permits := h.permits > 0 && h.key != other.key
		if !permits && !(h.shared && other.shared) {
			l.violatedLocked("one holder", "%s, and %s", h, other)
		}
	}
	if h.permits > 0 && together > mostPermits {
		l.violatedLocked("no more holders than permits", "%d permits are held", together)
	}
}

// checkRow checks that the row of what is held names it, under a lease that is alive.
func (l *ledger) checkRow(h *held) {
	if h.key.Slot == sessionSlot {
		return
	}
	l.w.readClock()
	rows, err := l.w.db.Get(context.Background(), []dialect.Key{h.key})
	if err != nil {
		panic(err)
	}
	// A request that arrives twice gives the row a greater fence than its holder knows.
	row := rows[0]
	if !row.Held || h.owner != "" && row.Owner != h.owner || row.Fence < h.fence || row.Lease != dialect.LeaseLive {
		l.violatedLocked("the holder gives up first", "%s, and its row is %+v", h, row)
	}
}

// wrote records a guarded write that was committed.
func (l *ledger) wrote(h *held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.writes[h.key]; h.fence < last {
		l.violatedLocked("only the holder writes", "%s and has written; before that, a holder with fence %d had",
			h, last)
	}
	l.writes[h.key] = max(l.writes[h.key], h.fence)
}

// worked checks that work doesn't begin under a lock that can be relied on if its outcome is known.
func (l *ledger) worked(ctx context.Context, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.outcomes[key]; ok && ctx.Err() == nil {
		l.violatedLocked("work succeeds once", "the work for %q was begun again; its outcome was %q", key, known)
	}
}

// remembered records an outcome that a caller got.
func (l *ledger) remembered(key, result string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.outcomes[key]; ok && known != result {
		l.violatedLocked("work succeeds once", "the work for %q has the outcomes %q and %q", key, known, result)
	}
	l.outcomes[key] = result
}

// led records a term.
func (l *ledger) led(term int64, holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, ok := l.terms[term]; ok {
		l.violatedLocked("one leader for each term", "%s and %s led in term %d", holder, other, term)
	}
	l.terms[term] = holder
}
