package dialecttest

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// waiter waits for what r asks, and polls.
func waiter(r dialect.Request) dialect.Waiter { return dialect.Waiter{Request: r} }

// enqueue puts one into its queue.
func (s *suite) enqueue(w dialect.Waiter) dialect.Place {
	s.Helper()
	return ask(s, s.d.Enqueue, w)[0]
}

// waits puts a new request for that name into the queue, under a lease of its own.
func (s *suite) waits(name, channel string) dialect.Request {
	s.Helper()
	r := request(name, s.lease(long))
	r.Note = unique("note")
	s.enqueue(dialect.Waiter{Request: r, Channel: channel})
	return r
}

func (s *suite) dequeue(r dialect.Request) bool {
	s.Helper()
	return ask(s, s.d.Dequeue, claim(r))[0]
}

func (s *suite) queue(k dialect.Key, limit int) []dialect.Waiting {
	s.Helper()
	queue, err := settle(s, func(ctx context.Context) ([]dialect.Waiting, error) { return s.d.Queue(ctx, k, limit) })
	s.must(err)
	return queue
}

// queued checks who waits for a lock, in that order.
func (s *suite) queued(k dialect.Key, want ...dialect.Request) {
	s.Helper()
	got := s.queue(k, 100)
	same := func(w dialect.Waiting, r dialect.Request) bool { return w.Owner == r.Owner }
	if !slices.EqualFunc(got, want, same) {
		s.Fatalf("%+v wait, want %+v", got, want)
	}
}

func (s *suite) pass(from, to dialect.Request) dialect.Grant {
	s.Helper()
	return ask(s, s.d.Pass, dialect.Pass{Claim: claim(from), Next: to})[0]
}

// dead is a lease that has run out, and that nobody has buried.
func (s *suite) dead() string {
	s.Helper()
	r := request(unique("dead"), s.lease(short/4))
	s.take(r)
	s.eventually("lease runs out", func() bool { return s.look(r.Key).Lease == dialect.LeaseExpired })
	return r.LeaseID
}

func (s *suite) purgeWaiters(limit int) int {
	s.Helper()
	n, err := settle(s, func(ctx context.Context) (int, error) { return s.d.PurgeWaiters(ctx, limit) })
	s.must(err)
	return n
}
