package election

import (
	"context"
	"errors"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// termTrace traces one term.
type termTrace struct {
	tracers []sqllock.TermTracer
	ctx     context.Context
	data    sqllock.TermStartData
	began   time.Time
}

func (r *termTrace) begin(t *Term) {
	for _, tracer := range t.e.c.Tracers() {
		if tracer, ok := tracer.(sqllock.TermTracer); ok {
			r.tracers = append(r.tracers, tracer)
		}
	}
	r.ctx, r.began = context.WithoutCancel(t.Context()), time.Now()
	r.data = sqllock.TermStartData{Election: t.e.req.Name, Number: t.Number(), Leader: t.e.c.Holder()}
	for _, tracer := range r.tracers {
		r.ctx = tracer.TermStart(r.ctx, r.data) //nolint:fatcontext // each tracer adds to it
	}
}

func (r *termTrace) end(why error) {
	data := sqllock.TermEndData{TermStartData: r.data, Duration: time.Since(r.began), Err: why}
	switch {
	case errors.Is(why, sqllock.ErrClosed):
		data.End = sqllock.EndClosed
	case errors.Is(why, sqllock.ErrLost):
		data.End = sqllock.EndLost
	default:
		data.End, data.Err = sqllock.EndReleased, nil
	}
	for _, tracer := range r.tracers {
		tracer.TermEnd(r.ctx, data)
	}
}
