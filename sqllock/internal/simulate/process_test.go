package simulate

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// process is one process, from its start to its end.
type process struct {
	w      *world
	number int
	holder string
	link   *link
	client *sqllock.Client
	ctx    context.Context // ends with the process
	cancel context.CancelFunc
	closed atomic.Bool
}

// start starts a process. It has a new holder name each time.
func (w *world) start(number int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	holder := fmt.Sprintf("p%d.%d", number, len(w.all))
	p := &process{w: w, number: number, holder: holder, link: newLink(w, holder)}
	p.ctx, p.cancel = context.WithCancel(background)
	client, err := sqllock.New(p.ctx, p.link, &sqllock.Options{
		TTL: w.schedule.ttl, KeepAlive: max(w.schedule.ttl, sqllock.MinKeepAlive), Holder: p.holder,
		Logger: slog.New(slog.DiscardHandler), Unprobed: true,
		PollOnly:  w.schedule.pollers&(1<<number) != 0,
		ReapEvery: w.schedule.reapEvery, PurgeAfter: w.schedule.keepRows,
	})
	if err != nil {
		panic(err)
	}
	p.client = client
	w.processes[number] = p
	w.all = append(w.all, p)
	return p
}

func (p *process) dead() bool { return p.link.dead() }

// gone reports whether the process was killed or closed its Client.
func (p *process) gone() bool { return p.closed.Load() || p.dead() }

// kill kills the process: nothing of it runs any more. The goroutines that it leaves in the test
// have no connection. Requests of it may still arrive at the database.
func (p *process) kill() {
	if p.gone() {
		return
	}
	p.w.ledger.died(p)
	p.link.kill()
	p.cancel()
	p.w.tasks.Go(func() { _ = p.client.Close(background) }) // for its goroutines
}

// close closes the Client as a process does that ends. Its callers are still there.
func (p *process) close() {
	if !p.dead() && p.closed.CompareAndSwap(false, true) {
		_ = p.client.Close(background) // its error says that locks stay taken until their leases expire
		p.cancel()
	}
}

// sleep sleeps for d, or until ctx ends, and then until the process runs.
func (p *process) sleep(ctx context.Context, d time.Duration) {
	leaving{ctx.Done(), p.link.died}.sleep(d)
	p.link.run()
}
