package sqllock

import (
	"context"
	"time"
)

// era is a context that many operations share, since a timer for each costs more than a look at the database's answer: the
// runtime wakes a thread for every new one.
type era struct {
	context.Context
	from time.Time
}

// eraLasts is how long operations join an era, and so how much longer than patience one may take.
const eraLasts = patience / 50

// operation is the context of something that must go on though the caller's ctx ends: with its values, but bounded by
// patience and an era, and no longer than the Client.
func (c *Client) operation(ctx context.Context) context.Context {
	return operation{values: context.WithoutCancel(ctx), Context: c.era()}
}

func (c *Client) era() context.Context {
	if e := c.lastEra.Load(); e != nil && time.Since(e.from) < eraLasts {
		return e.Context
	}
	ctx, cancel := context.WithTimeout(c.ctx, patience+eraLasts)
	context.AfterFunc(ctx, cancel)         // when it has ended by itself
	c.lastEra.Store(&era{ctx, time.Now()}) // of two at the same time, each has its own once
	return ctx
}

// operation has the values of one context, and the end of another.
type operation struct {
	context.Context
	values context.Context
}

// Value is the caller's. What only the other context has is how the standard library finds its way to it.
func (o operation) Value(key any) any {
	if v := o.values.Value(key); v != nil {
		return v
	}
	return o.Context.Value(key)
}

// within is for what may take another time than patience.
func (c *Client) within(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, timeout)
}
