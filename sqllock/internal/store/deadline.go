package store

import (
	"context"
	"time"
)

// OperationTimeout bounds a call that its caller's ctx doesn't bound, including retries. It is long
// enough for a failover's hiccup or SQLite's busiest moment, and short enough for a caller to wait
// for the result.
const OperationTimeout = 5 * time.Second

// SharedDeadlineAge is for how long operations share a deadline. An operation may take up to that
// much longer than OperationTimeout.
const SharedDeadlineAge = OperationTimeout / 50

// Grace is for how long a statement runs on that its caller runs itself, after the caller's ctx has
// ended. Most statements end sooner, and ending one earlier costs its connection.
const Grace = 50 * time.Millisecond

// sharedDeadline is a context that many operations share. A timer for each would cost more than
// reading the database's reply, because the runtime wakes a thread for every new timer.
type sharedDeadline struct {
	context.Context
	from time.Time
}

// Operation returns a context for a call that must go on even if ctx ends. It has the values of
// ctx, and ends after OperationTimeout or a little later, or with the Store if that ends first.
func (s *Store) Operation(ctx context.Context) context.Context {
	return valueContext{values: WithoutCancel(ctx), Context: s.sharedDeadline()}
}

// WithoutCancel is [context.WithoutCancel], which costs nothing if ctx never ends.
func WithoutCancel(ctx context.Context) context.Context {
	if ctx.Done() == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// outlast is Operation for a call that the caller makes itself. The context ends Grace after ctx,
// so that the caller can leave. Call end when the call has returned.
func (s *Store) outlast(ctx context.Context) (op context.Context, end func()) {
	op = s.Operation(ctx)
	if ctx.Done() == nil {
		return op, func() {}
	}
	op, cancel := context.WithCancel(op)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(Grace, cancel) })
	return op, func() { stop(); cancel() }
}

func (s *Store) sharedDeadline() context.Context {
	if d := s.lastDeadline.Load(); d != nil && time.Since(d.from) < SharedDeadlineAge {
		return d.Context
	}
	ctx, cancel := context.WithTimeout(s.all, OperationTimeout+SharedDeadlineAge)
	context.AfterFunc(ctx, cancel)                         // when it has ended by itself
	s.lastDeadline.Store(&sharedDeadline{ctx, time.Now()}) // two concurrent calls may make one each
	return ctx
}

// valueContext has the values of one context and the deadline and cancellation of another.
type valueContext struct {
	context.Context
	values context.Context
}

// Value returns the value of the caller's context. It also finds the values by which the standard
// library recognizes its own contexts, which the other context has.
func (c valueContext) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// Within returns a context for a call that needs another timeout than OperationTimeout.
func (s *Store) Within(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.all, timeout)
}
