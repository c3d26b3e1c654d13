package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	soakWorkers  = 3
	soakRoutines = 8
	soakStep     = 3 * time.Second  // the most by which a server's clock is moved at once
	soakPurge    = 10 * time.Second // more than a clock is ever set back
	soakKeep     = time.Minute      // for outcomes of once.Do
	soakShort    = 6 * time.Second  // on SQLite, without SQLLOCK_SOAK
)

// TestSoak lets real processes work under all kinds of locks while faults happen at random, and
// watches what they and the database occupy. It lasts for SQLLOCK_SOAK on each engine (make soak),
// and writes a report to SQLLOCK_SOAK_REPORT. Without SQLLOCK_SOAK it lasts for seconds, on SQLite
// only, and then nothing is said about growth.
func TestSoak(t *testing.T) {
	lasts, engines := soakShort, []string{"sqlite"}
	if text := os.Getenv("SQLLOCK_SOAK"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil || lasts <= 0 {
			t.Fatalf("SQLLOCK_SOAK=%s: want a duration, such as 10m", text)
		}
		engines = servers.OneOfEachKind(t, append([]string{"sqlite"}, serverEngines...)...)
	} else {
		t.Parallel()
	}
	report := &soakReport{lasts: lasts, commit: soakCommit()}
	defer report.write(t, os.Getenv("SQLLOCK_SOAK_REPORT"))
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) { report.add(runSoak(t, engine, lasts)) })
	}
}

// soak is a run on one engine.
type soak struct {
	*soakResult
	t      *testing.T
	rand   *rand.Rand
	ttl    time.Duration
	target *open.Database
	locks  *sqllock.Client
	url    string
	server *servers.Instance // nil for SQLite, like clock
	clock  *servers.Clock

	workers []*soakWorker
	next    int64         // the number of the next worker
	frozen  chan struct{} // a worker is about to freeze itself

	mu    sync.Mutex        // guards the fields below, and the counts of soakResult that events change
	check *ledgerCheck      // of this round
	once  map[string]string // the outcomes of this round, by key
}

// soakWorker is a worker with what it is reached by.
type soakWorker struct {
	*process
	id    int64
	proxy *proxy // nil for SQLite
	done  <-chan message
}

// runSoak soaks one engine, and returns what was counted, also if the test fails meanwhile.
func runSoak(t *testing.T, engine string, lasts time.Duration) *soakResult {
	t.Helper()
	s := newSoak(t, engine, min(2*time.Second, lasts/6))
	t.Logf("seed %d (SQLLOCK_SOAK_SEED)", s.seed)
	round := min(max(lasts/20, soakShort), 30*time.Second)
	for began := time.Now(); time.Since(began) < lasts && !t.Failed(); s.took = time.Since(began) {
		s.round(round)
		servers.Progress()
	}
	if s.judge(); len(s.grown) > 0 {
		t.Errorf("something grows: %s", strings.Join(s.grown, "; "))
	}
	return s.soakResult
}

func newSoak(t *testing.T, engine string, ttl time.Duration) *soak {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("SQLLOCK_SOAK_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal("SQLLOCK_SOAK_SEED:", err)
		}
	}
	s := &soak{
		soakResult: &soakResult{
			engine: engine, seed: seed, faults: make(map[string]int), outcomes: make(map[outcome]int),
		},
		t: t, rand: rand.New(rand.NewPCG(seed, 0)), next: 1, ttl: ttl,
		frozen: make(chan struct{}, 1),
	}
	if engine == "sqlite" {
		s.url = database(t, servers.Start(t, engine))
	} else {
		option, clock := servers.MovableClock(t, engine)
		s.clock, s.server = clock, servers.Private(t, engine, option)
		s.url = s.server.URL
		prepare(t, s.url)
	}
	s.target = connect(t, s.url)
	s.target.DB.SetMaxIdleConns(-1) // the server is restarted, and an old connection would fail
	s.locks = client(t, s.target, sqllock.Options{})
	s.version = scan[string](t, s.target, soakVersion[s.target.Dialect.Name()])
	for range soakWorkers {
		s.workers = append(s.workers, s.worker())
	}
	return s
}

// worker starts a worker. Each has a proxy of its own.
func (s *soak) worker() *soakWorker {
	s.t.Helper()
	w := &soakWorker{id: s.next}
	s.next++
	url := s.url
	if s.server != nil {
		w.proxy, url = newProxy(s.t, url)
	}
	w.process = start(s.t, setup{
		URL: url, Holder: fmt.Sprintf("worker %d", w.id), TTL: s.ttl, ReapEvery: time.Second, PurgeAfter: soakPurge,
	}, s.receive)
	return w
}

// receive handles the workers' events.
func (s *soak) receive(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.Event {
	case "frozen":
		s.frozen <- struct{}{}
	case "job":
		if s.check != nil {
			s.check.record(m)
		}
	case "read":
		var read soakRead
		s.decode(m, &read)
		s.reads++
		if read.Overlap {
			s.overlaps++
			s.t.Error("overlap: somebody wrote while a reader had the lock, and its guard let it through")
		}
	case "once":
		var done soakOnce
		s.decode(m, &done)
		s.onces++
		if other, known := s.once[done.Key]; known && other != done.Result {
			s.overlaps++
			s.t.Errorf("once: the key %s has two outcomes", done.Key)
		}
		s.once[done.Key] = done.Result
	case "session":
		s.sessions++
	case "leads":
		s.terms++
	}
}

func (s *soak) decode(m message, value any) {
	if err := json.Unmarshal(m.Value, value); err != nil {
		s.t.Errorf("event %q: %v", m.Event, err)
	}
}

// round lets the workers work for that long while faults happen, and then checks and measures
// everything at rest.
func (s *soak) round(lasts time.Duration) {
	s.t.Helper()
	execute(s.t, s.target, "DELETE FROM ledger")
	s.mu.Lock()
	s.rounds++
	s.once = make(map[string]string)
	s.check = newLedgerCheck()
	s.check.terms = map[int64]bool{soakElection: true}
	s.mu.Unlock()
	until := time.Now().Add(lasts)
	for _, w := range s.workers {
		s.load(w, until)
	}
	var ids []int64
	for _, w := range s.workers {
		ids = append(ids, w.id)
	}
	s.check.awaitEach(s.t, 3, ids...)
	s.freezeBetweenWrites(s.workers[s.rand.IntN(len(s.workers))])
	for time.Until(until) > lasts/5 {
		time.Sleep(time.Duration(100+s.rand.IntN(700)) * time.Millisecond)
		s.fault(until)
	}
	for _, w := range s.workers {
		if _, err := receive[any](w.process, "soak", w.done, 2*stepTimeout); err != nil {
			s.t.Errorf("the load of worker %d: %v", w.id, err)
		}
	}
	s.prove()
	s.sample()
}

// freezeBetweenWrites freezes a worker for longer than its leases last, at a moment when it doesn't
// block the whole database. Others get its locks then, and when it goes on, only the guards keep it
// from writing. So each round shows whether they do.
func (s *soak) freezeBetweenWrites(w *soakWorker) {
	s.t.Helper()
	thawed, err := w.send("freezeBetweenWrites", struct{}{})
	if err != nil {
		s.t.Fatal(err)
	}
	<-s.frozen
	time.Sleep(s.ttl * 3 / 2)
	await(s.t, "a worker that goes on", stepTimeout, func() bool {
		w.cont()
		return len(thawed) > 0
	})
	s.faults[soakFrozen]++
}

// load gives a worker its work for the rest of the round.
func (s *soak) load(w *soakWorker, until time.Time) {
	s.t.Helper()
	var err error
	w.done, err = w.send("soak", soakArgs{
		Worker: w.id, Routines: soakRoutines, For: time.Until(until), Round: s.rounds, Seed: s.rand.Uint64(),
		Server: s.server != nil,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// soakFault is something that goes wrong and is over when do returns.
type soakFault struct {
	name   string
	server bool // whether it takes a server
	do     func(s *soak, w *soakWorker, lasts time.Duration)
}

var soakFaults = []soakFault{
	{"worker frozen (SIGSTOP)", false, func(_ *soak, w *soakWorker, lasts time.Duration) {
		w.stop()
		time.Sleep(lasts)
		w.cont()
	}},
	{"connections cut", true, func(_ *soak, w *soakWorker, _ time.Duration) { w.proxy.closeAll() }},
	{"connections black-holed", true, func(_ *soak, w *soakWorker, lasts time.Duration) {
		w.proxy.blackhole()
		time.Sleep(lasts)
		w.proxy.revive()
	}},
	{"a reply lost", true, func(s *soak, w *soakWorker, _ time.Duration) {
		w.proxy.loseReply(1+s.rand.IntN(50), func() {})
	}},
	{"replies late (5 to 50 ms)", true, func(s *soak, w *soakWorker, lasts time.Duration) {
		w.proxy.slow(time.Duration(5+s.rand.IntN(45)) * time.Millisecond)
		time.Sleep(lasts)
		w.proxy.revive()
	}},
	{"server frozen (SIGSTOP)", true, func(s *soak, _ *soakWorker, lasts time.Duration) {
		s.server.Stop()
		time.Sleep(lasts)
		s.server.Cont()
	}},
	{"server killed (SIGKILL) and restarted", true, func(s *soak, _ *soakWorker, lasts time.Duration) {
		s.server.Kill()
		time.Sleep(lasts / 4)
		s.server.Restart()
	}},
	{"server's clock moved (up to 3 s, both ways)", true, func(s *soak, _ *soakWorker, _ time.Duration) {
		by := time.Duration(1+s.rand.IntN(int(soakStep/time.Second))) * time.Second
		if s.clock.Offset() > 0 { // so that it is never off by more than one step
			by = -by
		}
		s.clock.Move(by)
	}},
}

const (
	soakFrozen = "worker frozen between its writes"
	soakKilled = "worker killed (SIGKILL) and replaced"
)

// fault lets one thing go wrong, for up to one and three quarters of a TTL. The first worker is
// never killed, since its memory is watched.
func (s *soak) fault(until time.Time) {
	s.t.Helper()
	i := s.rand.IntN(len(s.workers))
	possible := slices.DeleteFunc(slices.Clone(soakFaults), func(f soakFault) bool {
		return f.server && s.server == nil
	})
	n := s.rand.IntN(len(possible) + 1)
	if n == len(possible) {
		i = 1 + s.rand.IntN(len(s.workers)-1)
		w := s.workers[i]
		s.check.kill(w.process, w.id)
		s.workers[i] = s.worker()
		s.load(s.workers[i], until)
		s.faults[soakKilled]++
		return
	}
	s.inflict(possible[n], s.workers[i], s.ttl/4+time.Duration(s.rand.Int64N(int64(s.ttl*3/2))))
}

func (s *soak) inflict(f soakFault, w *soakWorker, lasts time.Duration) {
	f.do(s, w, lasts)
	s.faults[f.name]++
}

// prove compares the ledger with what the workers have said, and waits until no lock is held.
func (s *soak) prove() {
	s.t.Helper()
	await(s.t, "an answer of the database", stepTimeout, func() bool {
		return s.target.DB.PingContext(s.t.Context()) == nil
	})
	for _, what := range s.check.compare(readLedger(s.t, s.target.DB)) {
		s.t.Error(what)
		switch {
		case strings.HasPrefix(what, overlapped):
			s.overlaps++
		case strings.HasPrefix(what, wentBack):
			s.back++
		default:
			s.wrong++
		}
	}
	if s.check.counts[wrote] == 0 {
		s.t.Error("no job was written, so this round has proven nothing")
	}
	for outcome, n := range s.check.counts {
		s.outcomes[outcome] += n
	}
	var err error
	for deadline := time.Now().Add(stepTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = s.unreleased(); err == nil {
			return
		}
	}
	s.leaks++
	s.t.Errorf("leak: %s after the end of all work, %v", stepTimeout, err)
}

// unreleased returns an error if a lock is still held, according to the database or to a worker.
func (s *soak) unreleased() error {
	if names, err := heldLocks(s.t.Context(), s.locks); err != nil || len(names) > 0 {
		return errors.Join(err, fmt.Errorf("these locks are held: %q", names))
	}
	for _, w := range s.workers {
		if n := must[soakSample](w.process, "sample", struct{}{}).Held; n > 0 {
			return fmt.Errorf("worker %d holds %d locks", w.id, n)
		}
	}
	return nil
}

// sample measures the first worker and the database, at rest.
func (s *soak) sample() {
	s.t.Helper()
	at := must[soakSample](s.workers[0].process, "sample", struct{}{})
	sample := soakFigures{
		residentMemory: at.RSS, heapInUse: at.Heap, goroutines: at.Goroutines, poolConnections: at.Connections,
	}
	for _, table := range soakTables {
		sample[tableRows] += scan[int64](s.t, s.target, "SELECT COUNT(*) FROM "+table)
	}
	for i, query := range soakQueries[s.target.Dialect.Name()] {
		sample[i] = scan[int64](s.t, s.target, query)
	}
	s.samples = append(s.samples, sample)
}
