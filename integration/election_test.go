package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// electorate is a set of workers that all want to lead.
type electorate struct {
	ledgerWorkers
	setup  setup
	mu     sync.Mutex
	latest led           // the highest term so far, and its leader
	since  time.Time     // when the event of latest arrived
	all    []led         // all terms, in the order in which their events arrived
	queued map[int64]int // counts for each worker how often it has entered the queue
	frozen chan struct{} // of capacity 1
}

func startElection(t *testing.T, n int, s setup) *electorate {
	t.Helper()
	c := &electorate{
		ledgerWorkers: ledgerWorkers{check: newLedgerCheck()},
		setup:         s, queued: make(map[int64]int), frozen: make(chan struct{}, 1),
	}
	c.check.terms = map[int64]bool{1: true}
	for range n {
		c.addCandidate(t, 0)
	}
	return c
}

// addCandidate starts one more worker, as a candidate of that priority.
func (c *electorate) addCandidate(t *testing.T, priority int) (worker int64) {
	t.Helper()
	worker = int64(len(c.workers) + 1)
	c.setup.Holder = fmt.Sprintf("worker %d", worker)
	p := start(t, c.setup, c.record)
	done, err := p.send("elect", electArgs{Worker: worker, Priority: priority})
	if err != nil {
		t.Fatal(err)
	}
	c.workers, c.done = append(c.workers, p), append(c.done, done)
	return worker
}

// awaitQueue waits until that many workers have entered the queue.
func (c *electorate) awaitQueue(t *testing.T, workers int) {
	t.Helper()
	await(t, "candidates in the queue", stepTimeout, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.queued) >= workers
	})
}

// after returns the workers that have led after that term.
func (c *electorate) after(before led) (workers []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.all {
		if l.Term > before.Term {
			workers = append(workers, l.Worker)
		}
	}
	return workers
}

func (c *electorate) record(m message) {
	var l led
	switch {
	case m.Event == "leads" && json.Unmarshal(m.Value, &l) == nil:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all = append(c.all, l)
		if l.Term > c.latest.Term {
			c.latest, c.since = l, time.Now()
		}
	case m.Event == "queued":
		var worker int64
		if json.Unmarshal(m.Value, &worker) == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.queued[worker]++
		}
	case m.Event == "frozen":
		c.frozen <- struct{}{}
	}
	c.check.record(m)
}

func (c *electorate) leader() (led, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest, c.since
}

// next waits for the leader after that term, and then until the leader has written. On a busy
// machine that may be yet another leader; next returns the one that has written. Unless within is
// nil, the first leader after that term must lead within that time.
func (c *electorate) next(t *testing.T, what string, before led, from time.Time, within func() time.Duration) led {
	t.Helper()
	return c.working(t, c.successor(t, what, before, from, within))
}

// working waits until the leader, or a later leader, has written three jobs. It returns that
// leader.
func (c *electorate) working(t *testing.T, l led) led {
	t.Helper()
	goal := c.check.jobsOf(l.Worker) + 3
	await(t, "three jobs of one leader", stepTimeout, func() bool {
		if now, _ := c.leader(); now != l {
			l, goal = now, c.check.jobsOf(now.Worker)+3
		}
		return c.check.jobsOf(l.Worker) >= goal
	})
	return l
}

// successor waits for the leader after that term. It calls within only afterwards, so that within
// can allow for how late the machine's timers have been.
func (c *electorate) successor(t *testing.T, what string, before led, from time.Time, within func() time.Duration) led {
	t.Helper()
	var l led
	var since time.Time
	await(t, "a leader after "+what, stepTimeout, func() bool { l, since = c.leader(); return l.Term > before.Term })
	took := since.Sub(from)
	t.Logf("%s: worker %d leads after %s", what, l.Worker, took.Round(time.Millisecond))
	if within != nil && took > within() {
		t.Errorf("%s: the next leader leads after %s; want within %s", what, took, within())
	}
	return l
}

// Processes elect a leader. The leader is killed; the next is frozen past its TTL and resumed; the
// next is asked to hand over. The ledger proves that there were never two leaders. The next leader
// leads when the lease has run out, or soon after the hand-over.
func TestElection(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		ttl := ttlFor(t, s, crashTTL)
		began := time.Now()
		c := startElection(t, long.Or(4, 10), setup{URL: url, TTL: ttl, ReapEvery: time.Second})
		l := c.next(t, "the start", led{}, began, nil)
		stall := watchOutage(t)
		within := func() time.Duration { return ttl + soon + 3*stall() }
		killed := time.Now()
		c.check.kill(c.workers[l.Worker-1], l.Worker)
		l = c.next(t, "kill -9", l, killed, within)

		thawed, err := c.workers[l.Worker-1].send("freezeBetweenWrites", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		<-c.frozen
		frozen := l
		l = c.next(t, "SIGSTOP", frozen, time.Now(), within)
		c.workers[frozen.Worker-1].cont()
		if _, err := receive[any](c.workers[frozen.Worker-1], "freezeBetweenWrites", thawed, stepTimeout); err != nil {
			t.Fatal(err)
		}

		asker := c.workers[frozen.Worker-1]
		asked := time.Now()
		must[any](asker, "handOver", struct{}{})
		before := l
		if l = c.successor(t, "a hand-over", before, asked, nil); l.Worker == before.Worker {
			t.Errorf("worker %d was asked to hand over, and leads again", l.Worker)
		}
		c.working(t, l)
		c.finish(t)
		c.check.prove(t, target.DB)
		c.check.report(t, failed)
	})
}

// In a rolling deploy, a hand-over to a new process makes it lead before the old ones that are
// ahead of it in the queue. Another new process with a higher priority leads without a hand-over.
// No other process leads in between, and the ledger proves that there were never two leaders.
func TestElectionDeploy(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		began := time.Now()
		c := startElection(t, 3, setup{URL: url, TTL: ttlFor(t, s, sqllock.DefaultTTL), ReapEvery: time.Second})
		old := c.next(t, "the start", led{}, began, nil)
		c.awaitQueue(t, 2)
		stall := watchOutage(t)
		onlyLeader := func(what string, before led, worker int64) {
			t.Helper()
			// A candidate that stalls for seconds may miss the hand-over to it, and then an old
			// process leads.
			if all := c.after(before); !slices.Equal(all, []int64{worker}) && stall() < time.Second {
				t.Errorf("%s: the workers %d have led in turn; want worker %d only", what, all, worker)
			}
		}

		fresh := c.addCandidate(t, 0)
		c.awaitQueue(t, 3)
		asked := time.Now()
		must[any](c.workers[0], "handOverTo", fmt.Sprintf("worker %d", fresh))
		l := c.next(t, "the hand-over to the new process", old, asked, nil)
		onlyLeader("the deploy", old, fresh)

		joined := time.Now()
		high := c.addCandidate(t, 1)
		await(t, "the candidate of a higher priority to lead", stepTimeout, func() bool {
			now, _ := c.leader()
			return now.Worker == high
		})
		c.next(t, "a higher priority", l, joined, nil)
		onlyLeader("a higher priority", l, high)
		c.finish(t)
		c.check.prove(t, target.DB)
		c.check.report(t, failed)
	})
}

// The database is killed and restarted under a leader, at once and after a TTL. Afterwards a
// process leads again without help.
func TestElectionDatabaseKilled(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine, servers.Durable())
		prepare(t, server.URL)
		began := time.Now()
		c := startElection(t, 4, setup{URL: server.URL, TTL: crashTTL, ReapEvery: time.Second})
		l := c.next(t, "the start", led{}, began, nil)
		for _, outage := range []bool{false, true} {
			server.Kill()
			if outage {
				time.Sleep(crashTTL) // there is no event to wait for: without a database no process leads
			}
			server.Restart()
			c.awaitAny(t)
		}
		after, _ := c.leader()
		t.Logf("term %d before, %d after", l.Term, after.Term)
		c.finish(t)
		c.check.prove(t, connect(t, server.URL).DB)
	})
}

// awaitAny waits for more lines in the ledger, whichever worker leads.
func (c *electorate) awaitAny(t *testing.T) {
	t.Helper()
	c.check.mu.Lock()
	goal := c.check.counts[wrote] + 5
	c.check.mu.Unlock()
	c.check.await(t, "more lines", func() bool { return c.check.counts[wrote] >= goal })
}
