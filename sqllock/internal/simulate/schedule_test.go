package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// schedule is what happens in one round.
type schedule struct {
	seed      uint64
	processes int
	ttl       time.Duration
	latency   time.Duration // of each way on a link without faults
	reapEvery time.Duration
	keepRows  time.Duration // Options.PurgeAfter
	pollers   uint          // bit i: process i polls instead of being notified
	pool      int           // connections of each process
	drift     int           // by how many ppm the database's clock runs faster than those of the processes
	ahead     bool          // the database's clock steps ahead, so leases end sooner than their holders can know
	events    []event       // in the order of their times
}

// event is one thing that happens: work that a process begins, or a fault that begins.
type event struct {
	at      time.Duration
	process int
	action  action
	name    int           // which of the few names of its kind
	lasts   time.Duration // of work: how long something is held; of a fault: until it stops
	wait    time.Duration // of work: when its caller leaves; zero for never
	n       int           // a detail, by action
}

type action string

// Work. The first group is for exclusive locks, all of the same names.
const (
	hold         action = "lock"
	holdFair     action = "lock fair"
	holdBarred   action = "lock with HoldAtLeast"
	holdDelayed  action = "lock with LockDelay"
	try          action = "try"
	nested       action = "lock under lock"
	set          action = "set"
	write        action = "write lock"
	tryWrite     action = "try write lock"
	read         action = "read lock"
	tryRead      action = "try read lock"
	permit       action = "permit"
	permitFair   action = "permit fair"
	session      action = "session lock"
	sessionRead  action = "session lock shared"
	onceDo       action = "once"
	lead         action = "lead"
	campaign     action = "campaign"
	handOver     action = "hand over"
	handOverTo   action = "hand over to"
	reap         action = "reap"
	closeProcess action = "close and start again"
)

// Faults.
const (
	kill        action = "kill, and start again"
	stop        action = "stop, and continue"
	refuse      action = "link: connections refused"
	silence     action = "link: requests vanish, no replies"
	loseRequest action = "link: some requests lost"
	loseReply   action = "link: some replies lost"
	delay       action = "link: some requests late, their callers get an error"
	repeat      action = "link: some replies lost, and the requests carried out twice"
	slow        action = "link: slow"
	slowLoss    action = "link: slow, and some replies lost"
	crowd       action = "pool: no free connection"
	former      action = "pool: connections to a former primary, where what is to be removed isn't yet"
	outage      action = "database: refuses everything"
	freeze      action = "database: stands still"
	setBack     action = "database: clock set back"
	setAhead    action = "database: clock set ahead"
	suspend     action = "host: suspended, with all processes"
	cutNotices  action = "database: ends listening connections"
	loseNotices action = "database: loses notifications"
	cutSessions action = "database: ends sessions"
)

func (s schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d processes, TTL %s, latency %s, reaper every %s, rows kept for %s, pools of %d, "+
		"pollers %b, database's clock %+d ppm\n",
		s.seed, s.processes, s.ttl, s.latency, s.reapEvery, s.keepRows, s.pool, s.pollers, s.drift)
	for _, e := range s.events {
		fmt.Fprintln(&b, " ", e)
	}
	return b.String()
}

func (e event) String() string {
	text := fmt.Sprintf("%-14s process %d: %s", e.at, e.process, e.action)
	if isWork(e.action) {
		text += fmt.Sprintf(" %d (n %d)", e.name, e.n)
		if e.wait > 0 {
			text += fmt.Sprintf(", caller leaves after %s", e.wait)
		}
	}
	return text + fmt.Sprintf(", for %s", e.lasts)
}

// length returns when the last fault has stopped and the last work has begun.
func (s schedule) length() (length time.Duration) {
	for _, e := range s.events {
		end := e.at
		switch {
		case isWork(e.action), e.action == setBack, e.action == setAhead, e.action == suspend: // at once
		default:
			end += e.lasts
		}
		length = max(length, end)
	}
	return length
}

// has reports whether such an event is in the schedule.
func (s schedule) has(a action) bool {
	return slices.ContainsFunc(s.events, func(e event) bool { return e.action == a })
}
