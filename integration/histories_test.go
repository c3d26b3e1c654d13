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
	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
)

// history describes operations that several clients run at random under one name, and the model
// that they must fit. Porcupine searches for an order of the operations in which the model allows
// each of them, with each operation at one moment between its call and its return (Herlihy and
// Wing, Linearizability, 1990). Each model's file adds its history with newHistory.
type history struct {
	name  string
	model porcupine.Model
	act   func(a *historyClient) // runs and records one operation, or several that belong together
	must  []verb                 // a record without one of these shows too little
}

var histories []history

// newHistory adds a history to those that are tested. It is called from init functions.
func newHistory(h history) { histories = append(histories, h) }

const (
	historyTTL        = time.Second
	clientProcesses   = 4
	clientsPerProcess = 2
	checkLimit        = 30 * time.Second

	never = math.MaxInt64 // the return time of an operation that may take effect at any time after its call
)

func TestHistories(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		for _, h := range histories {
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				r := h.run(t, url, long.Or(2*time.Second, 20*time.Second), 2, nil)
				t.Logf("%d operations: %v", len(r.ops), r.counts)
				for _, v := range h.must {
					if r.counts[v] == 0 {
						t.Errorf("there was no %q, so this test has shown too little", v)
					}
				}
				h.check(t, r)
			})
		}
	})
}

// record has the operations of one run of a history. It is safe for concurrent use.
type record struct {
	begun time.Time

	mu     sync.Mutex // guards the fields below
	ops    []porcupine.Operation
	counts map[verb]int
	due    []int64 // the times at which a client process is to crash, in order
}

// now returns the time since the record's begin, in nanoseconds.
func (r *record) now() int64 { return int64(time.Since(r.begun)) }

func (r *record) add(client int, call, ret int64, d historyOp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: d, Call: call, Return: ret})
	r.counts[d.verb]++
}

// crashes reports whether the caller is to crash its client process. It returns true once for each
// time in due.
func (r *record) crashes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.due) == 0 || r.now() < r.due[0] {
		return false
	}
	r.due = r.due[1:]
	return true
}

// over reports whether d has passed and each of the verbs in must has happened. A slow machine gets
// up to stepTimeout for those.
func (r *record) over(d time.Duration, must []verb) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := slices.ContainsFunc(must, func(v verb) bool { return r.counts[v] == 0 })
	return r.now() >= int64(d) && (!missing || r.now() >= int64(stepTimeout))
}

// historyClient is a goroutine that runs operations of a history.
type historyClient struct {
	*record
	id            int
	name          string // the name that all clients compete for
	clientProcess *clientProcess
	next          *atomic.Int64 // the last id of an acquisition, of all clients
	rand          *rand.Rand
}

// run runs the history with all client processes for at least d. Meanwhile some of them crash while
// they hold a lock, crashes times in all. fault, unless nil, makes the dialect of each process a
// broken one.
func (h history) run(
	t *testing.T, url string, d time.Duration, crashes int, fault func(dialect.Dialect) dialect.Dialect,
) *record {
	t.Helper()
	r := &record{counts: make(map[verb]int)}
	for i := range crashes {
		r.due = append(r.due, int64(d)*int64(2*i+1)/int64(2*crashes+2))
	}
	var next atomic.Int64
	var group sync.WaitGroup
	var all []*clientProcess
	for i := range clientProcesses {
		all = append(all, newClientProcess(t, url, fmt.Sprint(h.name, " ", i), fault))
	}
	r.begun = time.Now()
	for i, s := range all {
		for j := range clientsPerProcess {
			id := i*clientsPerProcess + j
			a := &historyClient{
				record: r, id: id, name: h.name, clientProcess: s, next: &next,
				rand: rand.New(rand.NewPCG(rand.Uint64(), uint64(id))),
			}
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

// check fails the test unless the model allows the record. In that case it writes a picture of what
// the model does not allow.
func (h history) check(t *testing.T, r *record) {
	t.Helper()
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(h.model, r.ops, checkLimit)
	t.Logf("checked in %s: %s", time.Since(began).Round(time.Millisecond), result)
	switch result {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Errorf("the check did not end within %s, so this test has shown nothing", checkLimit)
	case porcupine.Illegal:
		t.Errorf("no order of the operations fits the model; see %s (kept with go test -artifacts)", h.draw(t, r))
	}
}

// draw writes a picture of an illegal record, and returns its path.
func (h history) draw(t *testing.T, r *record) string {
	t.Helper()
	_, info := porcupine.CheckOperationsVerbose(h.model, r.ops, checkLimit)
	path := filepath.Join(t.ArtifactDir(), h.name+".html")
	if err := porcupine.VisualizePath(h.model, info, path); err != nil {
		t.Error(err)
	}
	return path
}
