package clock

import "context"

// Context is a context that ends with locks and reads the clock whenever it is asked: in a process
// that was just resumed, the goroutine that ends the context may not have run yet. Only a context
// that is derived from it, for instance by context.WithTimeout, ends no sooner than that goroutine
// runs.
type Context struct {
	context.Context
	Of Ender
}

// Ender is what a [Context] ends with.
type Ender interface {
	// EndIfLost ends the context if the locks cannot be relied on any longer.
	EndIfLost()
}

// Err is non-nil as soon as the locks can no longer be relied on.
func (c *Context) Err() error {
	c.Of.EndIfLost()
	return c.Context.Err()
}

// Done is closed as soon as the locks can no longer be relied on.
func (c *Context) Done() <-chan struct{} {
	c.Of.EndIfLost()
	return c.Context.Done()
}
