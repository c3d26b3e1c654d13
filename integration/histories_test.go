package integration

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
)

// history is what several clients do at random under one name, and the model that it has to fit: porcupine looks for an order
// of the operations, each at one moment between its call and its return, in which the model allows every one of them
// (Herlihy and Wing, Linearizability, 1990). Each model's file adds its own, with chronicle.
type history struct {
	name  string
	model porcupine.Model
	act   func(a *actor) // one thing that an actor does, recorded
	must  []verb         // without which it has shown nothing
}

var histories []history

// chronicle adds a history to those that are tested. It is for init.
func chronicle(h history) { histories = append(histories, h) }

const (
	historyTTL = time.Second
	stations   = 4
	perStation = 2
	checkLimit = 30 * time.Second

	never = math.MaxInt64 // the return of what may happen at any time from its call on
)

func TestHistories(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		for _, h := range histories {
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				r := h.run(t, url, lasting(2*time.Second, time.Minute), 2, nil)
				t.Logf("%d operations: %v", len(r.ops), r.counts)
				for _, v := range h.must {
					if r.counts[v] == 0 {
						t.Errorf("not once %q: this has shown too little", v)
					}
				}
				h.check(t, r)
			})
		}
	})
}

// record is a history as it went.
type record struct {
	begun time.Time

	mu     sync.Mutex // guards what follows
	ops    []porcupine.Operation
	counts map[verb]int
	due    []int64 // when a station has to crash
}

// now is the time of the record's operations.
func (r *record) now() int64 { return int64(time.Since(r.begun)) }

func (r *record) add(actor int, call, ret int64, d deed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: actor, Input: d, Call: call, Return: ret})
	r.counts[d.verb]++
}

// crashes tells the caller, once for each time that one is due, to crash its station.
func (r *record) crashes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.due) == 0 || r.now() < r.due[0] {
		return false
	}
	r.due = r.due[1:]
	return true
}

// over tells whether the time is up and all has been done that must be; on a slow machine that takes longer.
func (r *record) over(d time.Duration, must []verb) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := slices.ContainsFunc(must, func(v verb) bool { return r.counts[v] == 0 })
	return r.now() >= int64(d) && (!missing || r.now() >= int64(patience))
}

// actor is a goroutine that takes part.
type actor struct {
	*record
	id      int
	name    string // of what all of them want
	station *station
	next    *atomic.Int64 // for the ids of what they do
	rand    *rand.Rand
}

// run lets all stations act for a time, in which that many crash while they hold something.
func (h history) run(t *testing.T, url string, d time.Duration, crashes int, lie func(dialect.Dialect) dialect.Dialect) *record {
	t.Helper()
	r := &record{begun: time.Now(), counts: make(map[verb]int)}
	for i := range crashes {
		r.due = append(r.due, int64(d)*int64(2*i+1)/int64(2*crashes+2))
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for i := range stations {
		s := newStation(t, url, fmt.Sprint(h.name, " ", i), lie)
		for j := range perStation {
			id := i*perStation + j
			a := &actor{record: r, id: id, name: h.name, station: s, next: &next, rand: rand.New(rand.NewPCG(rand.Uint64(), uint64(id)))}
			group.Go(func() {
				for !r.over(d, h.must) {
					h.act(a)
				}
			})
		}
	}
	group.Wait()
	return r
}

// check fails the test unless the model explains the record, and then shows what it can't explain.
func (h history) check(t *testing.T, r *record) {
	t.Helper()
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(h.model, r.ops, checkLimit)
	t.Logf("checked in %s: %s", time.Since(began).Round(time.Millisecond), result)
	switch result {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Errorf("not checked within %s: this has shown nothing", checkLimit)
	case porcupine.Illegal:
		t.Errorf("no order of what was done fits the model; see %s (kept with go test -artifacts)", h.draw(t, r))
	}
}

// draw writes a picture of an illegal record, and answers where.
func (h history) draw(t *testing.T, r *record) string {
	t.Helper()
	_, info := porcupine.CheckOperationsVerbose(h.model, r.ops, checkLimit)
	path := filepath.Join(t.ArtifactDir(), h.name+".html")
	if err := porcupine.VisualizePath(h.model, info, path); err != nil {
		t.Error(err)
	}
	return path
}
