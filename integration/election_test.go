package integration

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
)

// electorate is a set of workers that all want to lead.
type electorate struct {
	crew
	mu     sync.Mutex
	latest led           // who led last
	since  time.Time     // when that was heard
	frozen chan struct{} // has room for one
}

func startElection(t *testing.T, n int, s setup) *electorate {
	t.Helper()
	c := &electorate{crew: crew{book: newBook()}, frozen: make(chan struct{}, 1)}
	c.book.terms = true
	for range n {
		id := int64(len(c.workers) + 1)
		s.Holder = fmt.Sprintf("worker %d", id)
		p := start(t, s, c.hear)
		done, err := p.send("elect", electArgs{Worker: id})
		if err != nil {
			t.Fatal(err)
		}
		c.workers, c.done = append(c.workers, p), append(c.done, done)
	}
	return c
}

func (c *electorate) hear(m message) {
	var l led
	switch {
	case m.Event == "leads" && json.Unmarshal(m.Value, &l) == nil:
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.Term > c.latest.Term {
			c.latest, c.since = l, time.Now()
		}
	case m.Event == "frozen":
		c.frozen <- struct{}{}
	}
	c.book.hear(m)
}

func (c *electorate) leader() (led, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest, c.since
}

// next waits for the leader after that term, who has begun to write, and must lead within the time, unless that is nil.
// What may be late because of the machine is asked for afterwards.
func (c *electorate) next(t *testing.T, what string, before led, from time.Time, within func() time.Duration) led {
	t.Helper()
	var l led
	var since time.Time
	await(t, "a leader after "+what, patience, func() bool { l, since = c.leader(); return l.Term > before.Term })
	took := since.Sub(from)
	t.Logf("%s: worker %d leads after %s", what, l.Worker, took.Round(time.Millisecond))
	if within != nil && took > within() {
		t.Errorf("%s: the next one leads after %s; want within %s", what, took, within())
	}
	c.book.awaitEach(t, 3, l.Worker)
	return l
}

// Ten processes elect a leader; the leader is killed, frozen past its TTL and resumed, and asked to hand over. The ledger proves
// that there were never two, and the next one leads when the lease has run out, or soon after the hand-over.
func TestElection(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		ttl := ttlFor(t, s, crashTTL)
		began := time.Now()
		c := startElection(t, 10, setup{URL: url, TTL: ttl, ReapEvery: time.Second})
		l := c.next(t, "the start", led{}, began, nil)
		stall := watchStalls(t)
		within := func() time.Duration { return ttl + time.Second + stall() }
		killed := time.Now()
		c.book.kill(c.workers[l.Worker-1], l.Worker)
		l = c.next(t, "kill -9", l, killed, within)

		thawed, err := c.workers[l.Worker-1].send("freezeLeader", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		<-c.frozen
		frozen := l
		l = c.next(t, "SIGSTOP", frozen, time.Now(), within)
		c.workers[frozen.Worker-1].cont()
		if _, err := hear[any](c.workers[frozen.Worker-1], "freezeLeader", thawed, patience); err != nil {
			t.Fatal(err)
		}

		asker := c.workers[frozen.Worker-1]
		asked := time.Now()
		must[any](asker, "handOver", struct{}{})
		before := l
		if l = c.next(t, "a hand-over", before, asked, nil); l.Worker == before.Worker {
			t.Errorf("worker %d was asked to hand over, and leads again", l.Worker)
		}
		c.finish(t)
		c.book.prove(t, target.DB)
		c.book.complain(t, failed)
	})
}

// The database is killed and restarted under a leader, at once and after a while: somebody leads afterwards, by himself.
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
				time.Sleep(crashTTL) // that nobody writes meanwhile tells nothing: nobody may lead
			}
			server.Restart()
			c.awaitAny(t)
		}
		after, _ := c.leader()
		t.Logf("term %d before, %d after", l.Term, after.Term)
		c.finish(t)
		c.book.prove(t, connect(t, server.URL).DB)
	})
}

// awaitAny waits for more lines, of whoever leads.
func (c *electorate) awaitAny(t *testing.T) {
	t.Helper()
	c.book.mu.Lock()
	goal := c.book.counts[wrote] + 5
	c.book.mu.Unlock()
	c.book.await(t, "more lines", func() bool { return c.book.counts[wrote] >= goal })
}
