package sqllock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/fail"
)

// tracers are the tracers of one Client, by what they trace.
type tracers struct {
	all        []any
	acquires   []AcquireTracer
	waits      []WaitTracer
	holds      []HoldTracer
	heartbeats []HeartbeatTracer
	guards     []GuardTracer
	breaks     []BreakTracer
	terms      []TermTracer
}

// newTracers returns nil if there are no tracers. A tracer that traces nothing is an [ErrInvalid],
// because most likely one of its methods has the wrong signature.
func newTracers(tracer any) (*tracers, error) {
	t := &tracers{}
	if err := t.add(tracer); err != nil || len(t.all) == 0 {
		return nil, err
	}
	return t, nil
}

func (t *tracers) add(tracer any) error {
	if tracer == nil {
		return nil
	}
	if joined, ok := tracer.(joinedTracers); ok {
		for _, each := range joined {
			if err := t.add(each); err != nil {
				return err
			}
		}
		return nil
	}
	traces := appendIf(&t.acquires, tracer)
	traces = appendIf(&t.waits, tracer) || traces
	traces = appendIf(&t.holds, tracer) || traces
	traces = appendIf(&t.heartbeats, tracer) || traces
	traces = appendIf(&t.guards, tracer) || traces
	traces = appendIf(&t.breaks, tracer) || traces
	traces = appendIf(&t.terms, tracer) || traces
	if !traces {
		return fail.Invalid("the Tracer, a %T, implements none of sqllock's tracer interfaces: check its methods",
			tracer)
	}
	t.all = append(t.all, tracer)
	return nil
}

// appendIf appends the tracer to list if it is one of that kind.
func appendIf[T any](list *[]T, tracer any) bool {
	one, ok := tracer.(T)
	if ok {
		*list = append(*list, one)
	}
	return ok
}

// started calls start of each tracer. Each gets the context that the one before it has returned.
func started[T, D any](
	ctx context.Context, list []T, start func(T, context.Context, D) context.Context, data D,
) context.Context {
	for _, t := range list {
		ctx = start(t, ctx, data) //nolint:fatcontext // each tracer adds to what the one before it has returned
	}
	return ctx
}

// callerContext is a context for an acquisition that still knows its caller's own.
type callerContext struct {
	context.Context
	caller context.Context
}

type callerContextKey struct{}

// Value returns the caller's context for its own key, and otherwise the value of the parent.
func (c *callerContext) Value(key any) any {
	if key == (callerContextKey{}) {
		return c.caller
	}
	return c.Context.Value(key)
}

// callerOf returns the context with which an acquisition was called, before it was traced.
func callerOf(ctx context.Context) context.Context {
	if caller, ok := ctx.Value(callerContextKey{}).(context.Context); ok {
		return caller
	}
	return ctx
}

// acquireTrace traces one acquisition. A nil acquireTrace traces nothing. It is used by the
// acquisition's caller alone.
type acquireTrace struct {
	tracers *tracers
	caller  context.Context
	ctx     context.Context // the tracers'
	data    AcquireStartData
	began   time.Time

	waits   bool
	waitCtx context.Context
	waited  time.Time  // since when it waits
	holder  *HeldError // as it was last seen
}

// begin begins the trace of an acquisition. Its statements get the context that begin returns.
func (t *tracers) begin(ctx context.Context, data AcquireStartData) (context.Context, *acquireTrace) {
	a := &acquireTrace{tracers: t, caller: ctx, data: data, began: time.Now()}
	a.ctx = started(ctx, t.acquires, AcquireTracer.AcquireStart, data)
	return &callerContext{a.ctx, ctx}, a
}

// wait says that the acquisition waits, for that holder if it is known.
func (a *acquireTrace) wait(holder *HeldError) {
	if a == nil {
		return
	}
	if holder != nil {
		a.holder = holder
	}
	if !a.waits {
		a.waits, a.waited = true, time.Now()
		a.waitCtx = started(a.ctx, a.tracers.waits, WaitTracer.WaitStart, WaitStartData{a.data.LockData, holder})
	}
}

// end ends the wait and the acquisition.
func (a *acquireTrace) end(fence int64, err error) {
	outcome, now := outcomeOf(a.caller, err), time.Now()
	if a.waits {
		data := WaitEndData{a.data.LockData, a.holder, now.Sub(a.waited), outcome, err}
		for _, t := range a.tracers.waits {
			t.WaitEnd(a.waitCtx, data)
		}
	}
	data := AcquireEndData{a.data, now.Sub(a.began), outcome, err, fence}
	for _, t := range a.tracers.acquires {
		t.AcquireEnd(a.ctx, data)
	}
}

// outcomeOf returns the outcome of an acquisition that ended with err.
func outcomeOf(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return OutcomeAcquired
	case errors.Is(err, ErrDeadlock):
		return OutcomeDeadlock
	case errors.Is(err, ErrClosed):
		return OutcomeClosed
	case errors.Is(err, ErrNotAcquired) && ctx.Err() != nil:
		return OutcomeGaveUp
	case errors.Is(err, ErrNotAcquired):
		return OutcomeNotAcquired
	}
	return OutcomeFailed
}

// holdTrace traces how long one lock is held. A nil holdTrace traces nothing.
type holdTrace struct {
	tracers []HoldTracer

	mu    sync.Mutex      // guards the fields below; held during the tracers' calls, so that they are in order
	ctx   context.Context // the tracers'; nil if the lock's acquisition has not returned
	began time.Time
	data  HoldStartData
	over  bool
	end   End
	why   error
}

// start says that the acquisition has returned.
func (h *holdTrace) start(ctx context.Context, data HoldStartData) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began, h.data = time.Now(), data
	h.ctx = started(ctx, h.tracers, HoldTracer.HoldStart, data)
	if h.over { // it was lost meanwhile
		h.ended()
	}
}

// stop says that the lock is not held any more.
func (h *holdTrace) stop(end End, why error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over, h.end, h.why = true, end, why
	if h.ctx != nil {
		h.ended()
	}
}

func (h *holdTrace) ended() {
	data := HoldEndData{h.data, time.Since(h.began), h.end, h.why}
	for _, tracer := range h.tracers {
		tracer.HoldEnd(h.ctx, data)
	}
}

// guardTrace traces one guard. A nil guardTrace traces nothing.
type guardTrace struct {
	tracers []GuardTracer
	ctx     context.Context
	data    GuardEndData
	began   time.Time
}

func (t *tracers) guard(ctx context.Context, data GuardStartData) (context.Context, *guardTrace) {
	ctx = started(ctx, t.guards, GuardTracer.GuardStart, data)
	return ctx, &guardTrace{t.guards, ctx, GuardEndData{GuardStartData: data}, time.Now()}
}

func (g *guardTrace) end(refused bool, err error) {
	if g == nil {
		return
	}
	g.data.Duration, g.data.Refused, g.data.Err = time.Since(g.began), refused, err
	for _, t := range g.tracers {
		t.GuardEnd(g.ctx, g.data)
	}
}

// breakTrace traces one break.
type breakTrace struct {
	tracers []BreakTracer
	ctx     context.Context
	data    BreakEndData
	began   time.Time
}

func (t *tracers) breakLock(ctx context.Context, data BreakStartData) (context.Context, *breakTrace) {
	ctx = started(ctx, t.breaks, BreakTracer.BreakStart, data)
	return ctx, &breakTrace{t.breaks, ctx, BreakEndData{BreakStartData: data}, time.Now()}
}

func (b *breakTrace) end(found Info, err error) {
	b.data.Duration, b.data.Found, b.data.Err = time.Since(b.began), found, err
	for _, t := range b.tracers {
		t.BreakEnd(b.ctx, b.data)
	}
}
