package dialecttest

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// waiter returns a waiter for r that polls.
func waiter(r dialect.Request) dialect.Waiter { return dialect.Waiter{Request: r} }

// enqueue puts a waiter into its queue.
func (s *suite) enqueue(w dialect.Waiter) dialect.QueuePosition {
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
	queue, err := retryTransient(s, func(ctx context.Context) ([]dialect.Waiting, error) {
		return s.d.Queue(ctx, k, limit)
	})
	s.must(err)
	return queue
}

// queued checks the waiters for a lock, in that order.
func (s *suite) queued(k dialect.Key, want ...dialect.Request) {
	s.Helper()
	got := s.queue(k, 100)
	same := func(w dialect.Waiting, r dialect.Request) bool { return w.Owner == r.Owner }
	if !slices.EqualFunc(got, want, same) {
		s.Fatalf("%+v wait, want %+v", got, want)
	}
}

func (s *suite) transfer(from, to dialect.Request) dialect.Grant {
	s.Helper()
	return ask(s, s.d.Transfer, dialect.Transfer{Claim: claim(from), Next: to})[0]
}

// dead returns an expired lease that no call has ended yet.
func (s *suite) dead() string {
	s.Helper()
	r := request(unique("dead"), s.lease(short/4))
	s.take(r)
	s.eventually("lease runs out", func() bool { return s.get(r.Key).Lease == dialect.LeaseExpired })
	return r.LeaseID
}

func (s *suite) purgeWaiters(limit int) int {
	s.Helper()
	n, err := retryTransient(s, func(ctx context.Context) (int, error) { return s.d.PurgeWaiters(ctx, limit) })
	s.must(err)
	return n
}
