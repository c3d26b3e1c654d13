package quorum_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/quorum"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// Whatever happens to processes, databases and the connections between them: when a lock is
// granted, nobody else trusts a lock of that name, and its fence is greater than all before.
func TestQuorumProperty(t *testing.T) {
	t.Run("clocks that differ", func(t *testing.T) { checkQuorum(t, false) })
	t.Run("data that is lost", func(t *testing.T) { checkQuorum(t, true) })
}

func checkQuorum(t *testing.T, losses bool) {
	all := 0
	rapid.Check(t, func(rt *rapid.T) {
		kinds := []string{
			"acquire", "release", "race", "release", "acquire", "heal", "sleep", "acquire", "release", "race", "sleep",
			"crash", "down", "up", "cut", "join", "slow", "fast", "mute", "heal",
		}
		if losses {
			kinds = append(kinds, "wipe", "wipe")
		}
		n := rapid.SampledFrom([]int{3, 3, 5}).Draw(rt, "databases")
		clocks := rapid.SliceOfN(rapid.IntRange(0, 7200), n, n).Draw(rt, "clocks")
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				rapid.SampledFrom(kinds).Draw(rt, "kind"), rapid.IntRange(0, 2).Draw(rt, "process"),
				rapid.IntRange(0, n-1).Draw(rt, "database"), rapid.IntRange(1, 30).Draw(rt, "amount"),
			}
		}), 20, 80).Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) {
			w := &world{ctx: t.Context()}
			defer w.end()
			for _, clock := range clocks {
				db := sqllocktest.New()
				if !losses {
					db.Advance(time.Duration(clock) * time.Second)
				}
				w.dbs = append(w.dbs, db)
			}
			for range 3 {
				w.processes = append(w.processes, w.start())
			}
			time.Sleep(quorumMax)
			for i, s := range steps {
				w.do(s)
				if w.err != nil {
					err = fmt.Errorf("step %d, %+v: %w", i, s, w.err)
					break
				}
			}
			all += len(w.granted)
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
	if t.Logf("%d locks were granted", all); all == 0 {
		t.Error("this has proven nothing")
	}
}

type step struct {
	kind     string
	process  int
	database int
	amount   int
}

// world is what the steps act on.
type world struct {
	ctx       context.Context
	dbs       []*sqllocktest.Dialect
	processes []*quorumProcess
	clients   []*sqllock.Client
	links     []*link
	err       error

	mu      sync.Mutex
	granted []*quorum.Lock // in the order of their grants
}

type quorumProcess struct {
	quorum *quorum.Quorum
	links  []*link
	lock   *quorum.Lock
}

// start starts a process, although databases may be down.
func (w *world) start() *quorumProcess {
	p := &quorumProcess{}
	var clients []*sqllock.Client
	for _, db := range w.dbs {
		l := &link{Dialect: db}
		opts := &sqllock.Options{Unprobed: true, ReapEvery: -1, Logger: slog.New(slog.DiscardHandler)}
		c, err := sqllock.New(w.ctx, l, opts)
		if err != nil {
			w.err = err
			return p
		}
		p.links, clients = append(p.links, l), append(clients, c)
	}
	w.links, w.clients = append(w.links, p.links...), append(w.clients, clients...)
	opts := &quorum.Options{TTL: quorumTTL, MaxTTL: quorumMax}
	p.quorum, _ = quorum.New(w.ctx, clients, opts) // nil without a majority
	return p
}

func (w *world) do(s step) {
	p, db := w.processes[s.process], w.dbs[s.database]
	switch s.kind {
	case "acquire":
		w.acquire(p, s.amount)
	case "race":
		var group sync.WaitGroup
		for _, p := range w.processes {
			group.Go(func() { w.acquire(p, s.amount) })
		}
		group.Wait()
	case "release":
		if p.lock != nil {
			_ = p.lock.Release(w.ctx)
			p.lock = nil
		}
	case "crash": // its locks stay held until their leases expire
		for _, l := range p.links {
			l.cut.Store(true)
		}
		w.processes[s.process] = w.start()
	case "down", "up":
		db.Outage(s.kind == "down")
	case "cut", "join":
		p.links[s.database].cut.Store(s.kind == "cut")
	case "slow":
		db.Delay(sqllocktest.Any, time.Duration(s.amount)*quorumTTL/60)
	case "fast":
		db.Delay(sqllocktest.Any, 0)
	case "heal":
		w.heal()
	case "mute":
		db.LoseReplies(sqllocktest.Any, s.amount)
	case "wipe":
		db.Wipe()
	case "sleep":
		time.Sleep(time.Duration(s.amount) * quorumTTL / 5)
	}
}

func (w *world) acquire(p *quorumProcess, amount int) {
	if p.lock != nil && p.lock.Context().Err() != nil {
		p.lock = nil
	}
	if p.quorum == nil || p.lock != nil {
		return
	}
	ttl := quorumTTL
	if amount > 20 {
		ttl = quorumMax
	}
	lock, err := p.quorum.TryAcquire(w.ctx, "x", sqllock.WithTTL(ttl))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if errors.Is(err, sqllock.ErrInvalid) {
			w.err = err
		}
		return
	}
	p.lock = lock
	for i, before := range w.granted {
		if before.Context().Err() == nil {
			w.err = fmt.Errorf("two holders: fences %d and %d", before.Fence(), lock.Fence())
		}
		if before.Fence() >= lock.Fence() {
			w.err = fmt.Errorf("grant %d has fence %d, grant %d had %d",
				len(w.granted), lock.Fence(), i, before.Fence())
		}
	}
	w.granted = append(w.granted, lock)
}

// end connects everything again, so that all can be closed.
func (w *world) end() {
	w.heal()
	for _, l := range w.links {
		l.cut.Store(false)
	}
	for _, c := range w.clients {
		_ = c.Close(context.Background())
	}
}

// heal repairs the databases, and the connections of processes that haven't crashed.
func (w *world) heal() {
	for _, db := range w.dbs {
		db.Outage(false)
		db.Delay(sqllocktest.Any, 0)
	}
	for _, p := range w.processes {
		for _, l := range p.links {
			l.cut.Store(false)
		}
	}
}

// link is one process's connection to a database, which can be cut.
type link struct {
	dialect.Dialect
	cut atomic.Bool
}

var errCut = &sqllocktest.Error{Op: sqllocktest.Any, Class: dialect.ClassTransient, Reason: "cut off"}

// over carries out the call, and returns no answer if the connection was cut meanwhile.
func over[A any](l *link, call func() (A, error)) (answer A, err error) {
	if l.cut.Load() {
		return answer, errCut
	}
	got, err := call()
	if l.cut.Load() {
		return answer, &sqllocktest.Error{Op: sqllocktest.Any, Class: dialect.ClassUnknown, Reason: "cut off"}
	}
	return got, err
}

func (l *link) CreateLease(ctx context.Context, lease dialect.Lease) error {
	_, err := over(l, func() (any, error) { return nil, l.Dialect.CreateLease(ctx, lease) })
	return err
}

func (l *link) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return over(l, func() ([]bool, error) { return l.Dialect.RenewLeases(ctx, ids) })
}

func (l *link) ExpireLeases(ctx context.Context, ids []string) ([]dialect.Expiry, error) {
	return over(l, func() ([]dialect.Expiry, error) { return l.Dialect.ExpireLeases(ctx, ids) })
}

func (l *link) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := over(l, func() (any, error) { return nil, l.Dialect.DeleteLeases(ctx, ids) })
	return err
}

func (l *link) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	return over(l, func() ([]dialect.Grant, error) { return l.Dialect.Acquire(ctx, requests) })
}

func (l *link) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return over(l, func() ([]bool, error) { return l.Dialect.Release(ctx, claims) })
}

func (l *link) AdvanceFence(ctx context.Context, raises []dialect.FenceAdvance) ([]bool, error) {
	return over(l, func() ([]bool, error) { return l.Dialect.AdvanceFence(ctx, raises) })
}

func (l *link) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return over(l, func() ([]dialect.Row, error) { return l.Dialect.Get(ctx, keys) })
}

func (l *link) Free(ctx context.Context, holders []dialect.DeadHolder) ([]bool, error) {
	return over(l, func() ([]bool, error) { return l.Dialect.Free(ctx, holders) })
}

func (l *link) Probe(ctx context.Context) (dialect.Server, error) {
	return over(l, func() (dialect.Server, error) { return l.Dialect.Probe(ctx) })
}
