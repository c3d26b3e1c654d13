package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// partner is the service with the quota. It refuses calls over the quota and counts them.
type partner struct{ now, most, served, refused atomic.Int64 }

func (p *partner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := p.now.Add(1)
	defer p.now.Add(-1)
	for seen := p.most.Load(); n > seen; seen = p.most.Load() {
		p.most.CompareAndSwap(seen, n)
	}
	if n > quota {
		p.refused.Add(1)
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	select {
	case <-time.After(20 * time.Millisecond):
		p.served.Add(1)
	case <-r.Context().Done(): // the gateway has hung up
	}
}

// runDemo runs the demo: three gateways, one of which is killed while it calls.
func runDemo(ctx context.Context, out io.Writer) error {
	s, err := demo.Open(ctx, out)
	if err != nil {
		return err
	}
	defer s.Close()
	p := &partner{}
	server := httptest.NewServer(p)
	defer server.Close()

	gateways := []string{"gateway 1", "gateway 2", "gateway 3"}
	s.Say("The demo", fmt.Sprintf("three gateways with %d callers each, and a partner that accepts %d calls at "+
		"once", callers, quota))
	for _, name := range gateways {
		if err := s.Start(name, "gateway", name, server.URL); err != nil {
			return err
		}
		if _, err := s.Until(ctx, "is ready"); err != nil {
			return err
		}
	}
	if err := p.serve(ctx, 50); err != nil {
		return err
	}
	if err := s.Kill(ctx, gateways[0]); err != nil {
		return err
	}
	s.Say("The demo", "its permits are free when its lease has expired")
	time.Sleep(ttl + time.Second) // until the permits are free again
	if err := p.serve(ctx, 50); err != nil {
		return err
	}
	if err := s.Stop(ctx, gateways[1:]...); err != nil {
		return err
	}
	if n := p.refused.Load(); n > 0 || p.most.Load() > quota {
		return fmt.Errorf("the quota was exceeded: %d calls refused, %d at once", n, p.most.Load())
	}
	s.Say("The proof", fmt.Sprintf("%d calls served, never more than %d at once, none refused",
		p.served.Load(), p.most.Load()))
	return nil
}

// serve waits until the partner has served that many more calls.
func (p *partner) serve(ctx context.Context, more int64) error {
	for until, deadline := p.served.Load()+more, time.Now().Add(30*time.Second); p.served.Load() < until; {
		if time.Now().After(deadline) {
			return fmt.Errorf("the partner didn't receive %d more calls within 30s", more)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
