package simulate

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// weighted is a list of actions, each as often as it is wanted.
type weighted []struct {
	action action
	weight int
}

var work = weighted{
	{hold, 16},
	{holdFair, 5},
	{holdBarred, 2},
	{holdDelayed, 3},
	{try, 4},
	{nested, 4},
	{set, 4},
	{write, 5},
	{tryWrite, 2},
	{read, 8},
	{tryRead, 2},
	{permit, 7},
	{permitFair, 3},
	{session, 3},
	{sessionRead, 3},
	{onceDo, 6},
	{lead, 4},
	{campaign, 3},
	{handOver, 1},
	{handOverTo, 1},
	{reap, 2},
	{closeProcess, 2},
}

var faults = weighted{
	{kill, 6},
	{stop, 8},
	{refuse, 3},
	{silence, 4},
	{loseRequest, 3},
	{loseReply, 8},
	{delay, 8},
	{repeat, 5},
	{slow, 5},
	{slowLoss, 6},
	{crowd, 3},
	{former, 4},
	{outage, 2},
	{freeze, 3},
	{setBack, 2},
	{cutNotices, 2},
	{loseNotices, 3},
	{cutSessions, 1},
	{suspend, 3},
}

func (w weighted) pick(r *rand.Rand) action {
	sum := 0
	for _, a := range w {
		sum += a.weight
	}
	n := r.IntN(sum)
	for _, a := range w {
		if n -= a.weight; n < 0 {
			return a.action
		}
	}
	panic("unreachable")
}

func isWork(a action) bool {
	return slices.ContainsFunc(work, func(w struct {
		action action
		weight int
	},
	) bool {
		return w.action == a
	})
}

func one[E any](r *rand.Rand, of ...E) E { return of[r.IntN(len(of))] }

// between returns a duration, with as many short ones as long ones.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return time.Duration(float64(least) * math.Pow(float64(most)/float64(least), r.Float64()))
}

// generate makes the schedule of a seed: episodes in which much happens at once, and quiet time
// between them.
func generate(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 1))
	s := schedule{
		seed: seed, processes: 2 + r.IntN(4),
		ttl:       one(r, time.Second, 3*time.Second, 15*time.Second, 15*time.Second),
		latency:   one(r, 0, 200*time.Microsecond, 3*time.Millisecond, 30*time.Millisecond),
		reapEvery: one(r, 10*time.Second, 10*time.Minute, 2*time.Hour),
		keepRows:  one(r, time.Minute, time.Hour, 24*time.Hour),
		pool:      2 + r.IntN(6),
		drift:     one(r, 0, -900, 900),
		ahead:     r.IntN(8) == 0,
	}
	if r.IntN(2) == 0 {
		s.pollers = uint(r.IntN(1 << s.processes))
	}
	at := time.Duration(0)
	for range 1 + r.IntN(3) {
		at = episode(r, &s, at)
		at += s.reapEvery * time.Duration(1+r.IntN(20))
	}
	slices.SortStableFunc(s.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return s
}

// episode adds the events of one episode, which begins at that time, and returns when the last of
// them begins.
func episode(r *rand.Rand, s *schedule, begin time.Duration) (end time.Duration) {
	length := between(r, s.ttl, 8*s.ttl)
	target := r.IntN(s.processes) // of every other event, so that faults and work meet
	for range 3 + r.IntN(30) {
		add(r, s, begin, length, target, work.pick(r))
	}
	for range r.IntN(8) {
		add(r, s, begin, length, target, faults.pick(r))
	}
	if s.ahead {
		add(r, s, begin, length, target, setAhead)
	}
	return begin + length
}

func add(r *rand.Rand, s *schedule, begin, length time.Duration, target int, a action) {
	if a == former && s.has(former) {
		return // a failover within a TTL of another could hide a row from every try to remove it
	}
	e := event{
		at: begin + time.Duration(r.Int64N(int64(length))), process: r.IntN(s.processes), action: a,
		name:  one(r, 0, 0, 0, 1),
		lasts: between(r, time.Millisecond, 2*s.ttl), n: r.IntN(12),
	}
	if r.IntN(2) == 0 {
		e.process = target
	}
	if r.IntN(4) == 0 { // much happens at the same moment
		e.at = e.at.Truncate(s.ttl)
		e.at = max(e.at, begin)
	}
	switch {
	case a == handOver || a == handOverTo || a == reap: // which goes on until its ctx ends, also without a reply
		e.wait = between(r, time.Second, time.Minute)
	case isWork(a) && r.IntN(3) == 0:
		e.wait = between(r, time.Millisecond, 2*s.ttl)
	case a == setBack: // by less than the time for which free rows are kept, which bounds what fences survive
		e.lasts = between(r, s.keepRows/1000, s.keepRows/20)
	case a == setAhead:
		e.lasts = between(r, s.ttl/10, time.Hour)
	case a == former:
		e.lasts = between(r, time.Millisecond, s.ttl/2)
	case !isWork(a):
		e.lasts = between(r, s.ttl/10, 4*s.ttl)
	}
	s.events = append(s.events, e)
}
