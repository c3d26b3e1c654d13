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

// sharedDeadline is a context that many operations share. A timer for each would cost more than
// reading the database's reply, because the runtime wakes a thread for every new timer.
type sharedDeadline struct {
	context.Context
	from time.Time
}

// Operation returns a context for a call that must go on even if ctx ends. It has the values of
// ctx, and ends after OperationTimeout or a little later, or with the Store if that ends first.
func (s *Store) Operation(ctx context.Context) context.Context {
	return valueContext{values: context.WithoutCancel(ctx), Context: s.sharedDeadline()}
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
