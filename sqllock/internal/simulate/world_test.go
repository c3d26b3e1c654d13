package simulate

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// world is everything in a round.
type world struct {
	schedule schedule
	began    time.Time
	db       *sqllocktest.Dialect
	ledger   *ledger
	guards   guards
	tasks    sync.WaitGroup
	busy     atomic.Int64 // number of tasks
	pending  atomic.Int64 // for how long they will hold something together
	requests atomic.Int64

	mu        sync.Mutex
	drifted   time.Duration // by how much the database's clock has run ahead
	processes []*process    // by their numbers
	all       []*process    // also those that have ended
	faults    []fault       // of the database
	traced    strings.Builder
}

const hoursOfYear = 8766

// figures say how much a round did.
type figures struct {
	Rounds   int64
	Years    float64 // simulated, of all processes together
	Requests int64
	Grants   int64
	Faults   int64
}

func (f *figures) add(other figures) {
	f.Rounds += other.Rounds
	f.Years += other.Years
	f.Requests += other.Requests
	f.Grants += other.Grants
	f.Faults += other.Faults
}

// run runs a round. It returns the first violation, or nil.
func run(t *testing.T, s schedule) (did figures, broken *violation) {
	defer func() {
		if p := recover(); p != nil { // of a bubble in which goroutines were left, for instance
			stacks := make([]byte, 1<<16)
			stacks = stacks[:runtime.Stack(stacks, true)]
			broken = &violation{
				invariant: "no goroutine is left, and none panics", details: fmt.Sprintf("%v\n%s", p, stacks),
			}
		}
	}()
	seedRuntime(t, s.seed)
	synctest.Test(t, func(*testing.T) {
		w := &world{schedule: s, began: time.Now(), db: sqllocktest.New(), processes: make([]*process, s.processes)}
		w.ledger, w.guards.rows = newLedger(w), make(map[dialect.Key][]*tx)
		w.round()
		broken = w.ledger.found()
		if tracing {
			lastTrace = w.traced.String()
		}
		did = figures{
			Years:    time.Since(w.began).Hours() * float64(s.processes) / hoursOfYear,
			Requests: w.requests.Load(), Grants: int64(w.ledger.grants),
		}
	})
	for _, e := range s.events {
		if !isWork(e.action) {
			did.Faults++
		}
	}
	return did, broken
}

func (w *world) round() {
	for i := range w.processes {
		w.start(i)
	}
	for _, e := range w.schedule.events {
		time.Sleep(e.at - time.Since(w.began))
		if w.ledger.found() != nil {
			break
		}
		w.happens(e)
	}
	if w.ledger.found() == nil {
		time.Sleep(w.schedule.length() - time.Since(w.began) + time.Millisecond) // killed processes are back then
		w.comesToRest()
	}
	w.end()
}

// end ends all processes, and waits for what their callers do.
func (w *world) end() {
	w.mu.Lock()
	all := slices.Clone(w.all)
	w.mu.Unlock()
	for _, p := range all {
		if w.ledger.found() != nil {
			p.kill()
		}
		p.close()
		p.cancel()
	}
	w.tasks.Wait()
	time.Sleep(time.Minute) // what isn't over by then is left for ever, since the bubble's time ends here
}

// readClock makes the database's clock, which has a speed of its own, show the present time. It is
// called before the clock is read.
func (w *world) readClock() {
	w.mu.Lock()
	defer w.mu.Unlock()
	ahead := time.Since(w.began) / 1e6 * time.Duration(w.schedule.drift)
	w.db.Advance(ahead - w.drifted)
	w.drifted = ahead
}

// has returns until when there is such a fault of the database, or the zero time.
func (w *world) has(a action) (until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, f := range w.faults {
		if f.action == a && f.until.After(now) && f.until.After(until) {
			until = f.until
		}
	}
	return until
}

// stands returns until when the database stands still, or the zero time.
func (w *world) stands() time.Time { return w.has(freeze) }

// afterNotice calls f when the database has noticed that a connection has ended.
func (w *world) afterNotice(f func()) { time.AfterFunc(w.schedule.ttl/2, f) }

// trace records what happens between a process and the database. It isn't printed before the round
// has ended, because a system call lets the scheduler change the order of goroutines.
func (w *world) trace(l *link, op, format string, args ...any) {
	if tracing {
		w.mu.Lock()
		defer w.mu.Unlock()
		fmt.Fprintf(&w.traced, "%-16s %s %s %s\n", time.Since(w.began), l.holder, op, fmt.Sprintf(format, args...))
	}
}

var (
	tracing   = os.Getenv("SQLLOCK_SIMULATE_TRACE") != ""
	lastTrace string // of the last round
)

// process returns the process of that number that runs now.
func (w *world) process(number int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.processes[number]
}

// failoversGoOn ends what a suspend has outlasted.
func (w *world) failoversGoOn(lasted time.Duration) {
	for number := range w.schedule.processes {
		w.process(number).link.slept(lasted)
	}
}

// happens begins what an event says.
func (w *world) happens(e event) {
	p := w.process(e.process)
	switch e.action {
	case kill:
		p.kill()
		time.AfterFunc(e.lasts, func() {
			if w.ledger.found() == nil { // otherwise the round ends
				w.start(e.process)
			}
		})
	case stop:
		p.link.stop(e.lasts)
	case refuse, silence, loseRequest, loseReply, delay, repeat, slow, slowLoss, crowd, former:
		p.link.add(e.action, e.lasts, e.n%3 == 0)
	case outage, freeze:
		w.mu.Lock()
		w.faults = append(w.faults, fault{action: e.action, until: time.Now().Add(e.lasts)})
		w.mu.Unlock()
	case setBack:
		w.db.Advance(-e.lasts)
	case setAhead:
		w.ledger.stepped(true)
		w.db.Advance(e.lasts)
	case suspend:
		if suspendHost(e.lasts) {
			w.ledger.stepped(false)
			w.db.Advance(e.lasts)
			w.failoversGoOn(e.lasts)
			w.ledger.checkAll()
		}
	case cutNotices:
		w.db.CutListeners()
	case loseNotices:
		w.db.LoseNotifications(1 + e.n%5)
	case cutSessions:
		w.db.CutSessions()
	default:
		w.pending.Add(int64(e.lasts))
		w.busy.Add(1)
		w.tasks.Go(func() {
			defer w.pending.Add(-int64(e.lasts))
			defer w.busy.Add(-1)
			p.does(e)
		})
	}
}
