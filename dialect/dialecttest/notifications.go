package dialecttest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// listen opens a listener that is closed with the test.
func (s *suite) listen() dialect.Listener {
	s.Helper()
	w, err := s.d.(dialect.Notifier).OpenListener(s.ctx, "listener")
	s.must(err)
	s.Cleanup(func() { w.Close() })
	return w
}

// wantNotified waits for the next hand-over.
func (s *suite) wantNotified(w dialect.Listener, want dialect.Request) int64 {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, soon)
	defer cancel()
	h, err := w.Next(ctx)
	s.must(err)
	if h.Owner != want.Owner {
		s.Fatalf("got %+v, want a hand-over to %q", h, want.Owner)
	}
	return h.Fence
}

// nothing checks that there is no message yet.
func (s *suite) nothing(w dialect.Listener) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, short)
	defer cancel()
	if h, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		s.Fatalf("Next: %+v, %v; want to hear nothing until the ctx ends", h, err)
	}
}

// taken holds slot 0 of a new name.
func (s *suite) taken() (dialect.Request, int64) {
	s.Helper()
	r := request(unique("lock"), s.lease(long))
	return r, s.take(r)
}

// released releases locks that must be the claims' owners'.
func (s *suite) released(claims ...dialect.Claim) {
	s.Helper()
	if got := ask(s, s.d.Release, claims...); slices.Contains(got, false) {
		s.Fatalf("Release returned %t", got)
	}
}

// isFree checks that the lock is free and not barred.
func (s *suite) isFree(k dialect.Key) {
	s.Helper()
	if row := s.get(k); row.Held || row.FreeIn > 0 {
		s.Fatalf("not free: %+v", row)
	}
}

// notifications checks that a release gives the lock to the first waiter that can be notified, and
// notifies it.
func notifications(s *suite) {
	s.run("notified", func(s *suite) {
		w := s.listen()
		r, before := s.taken()
		row := s.get(r.Key)
		next := s.waits(r.Name, w.Channel())
		time.Sleep(4 * tick)
		s.released(claim(r))
		fence := s.wantNotified(w, next)
		got := s.held(next, fence)
		if fence <= before || got.Note != next.Note || !got.AcquiredAt.After(row.AcquiredAt) {
			s.Errorf("the row went from %+v to %+v", row, got)
		}
		if apart := got.AcquiredAt.Sub(time.UnixMicro(fence)).Abs(); apart > atOnce {
			s.Errorf("acquired at %s, %s from the fence", got.AcquiredAt, apart)
		}
		if s.queued(r.Key); s.dequeue(next) {
			s.Error("it has the lock, and waits for it")
		}
		if got := s.take(next); got <= fence {
			s.Errorf("its own Acquire: fence %d after %d", got, fence)
		}
		s.released(claim(next))
		s.isFree(r.Key)
		s.nothing(w)
	})
	s.run("in the order of the queue", inOrder)
	s.run("as requested", func(s *suite) { handedAsAsked(s) })
	s.run("as requested, beside another", func(s *suite) {
		handedAsAsked(s, waiter(request(unique("beside"), s.lease(long))))
	})
	s.run("not before it is to be free", func(s *suite) {
		w := s.listen()
		r := request(unique("lock"), s.lease(long))
		r.HoldAtLeast = time.Hour
		s.take(r)
		next := s.waits(r.Name, w.Channel())
		s.released(claim(r))
		if row := s.get(r.Key); row.Held || row.FreeIn < long {
			s.Errorf("released, with a HoldAtLeast of an hour: %+v", row)
		}
		s.queued(r.Key, next)
		s.nothing(w)
	})
	s.run("several at once", severalHandedOver)
	s.run("never to its own owner", func(s *suite) {
		w := s.listen()
		a, _ := s.taken()
		b, _ := s.taken()
		for _, r := range []dialect.Request{a, b} {
			s.enqueue(dialect.Waiter{Request: r, Channel: w.Channel()})
		}
		s.released(claim(a))
		s.isFree(a.Key)
		c, _ := s.taken()
		s.released(claim(b), claim(c))
		s.isFree(b.Key)
		s.nothing(w)
	})
	s.run("by its owner alone", func(s *suite) {
		w := s.listen()
		r, fence := s.taken()
		next := s.waits(r.Name, w.Channel())
		stranger := request(r.Name, r.LeaseID)
		if s.release(claim(stranger)) {
			s.Error("another owner's Release was granted")
		}
		ask(s, s.d.Release, claim(stranger), claim(request(r.Name, r.LeaseID)))
		s.held(r, fence)
		s.queued(r.Key, next)
		s.nothing(w)
	})
	s.run("each gets its own", func(s *suite) {
		v, w := s.listen(), s.listen()
		if v.Channel() == "" || v.Channel() == w.Channel() {
			s.Fatalf("channels %q and %q", v.Channel(), w.Channel())
		}
		a, _ := s.taken()
		b, _ := s.taken()
		nextA, nextB := s.waits(a.Name, v.Channel()), s.waits(b.Name, w.Channel())
		s.released(claim(b))
		s.released(claim(a))
		s.held(nextA, s.wantNotified(v, nextA))
		s.held(nextB, s.wantNotified(w, nextB))
		s.nothing(v)
		s.nothing(w)
	})
	s.run("no listener any more", func(s *suite) {
		w := s.listen()
		s.must(w.Close())
		r, fence := s.taken()
		next := s.waits(r.Name, w.Channel())
		s.released(claim(r))
		row := s.get(r.Key)
		if row.Owner != next.Owner || row.Fence <= fence || s.dequeue(next) {
			s.Errorf("the row is %+v, want it held by the waiter, which isn't notified", row)
		}
		s.take(next)
	})
	s.run("giving up and being given at the same time", givingUp)
}

// inOrder checks that the lock goes to the first live waiter, one after the other. It is not handed
// to a waiter that polls, but freed for it.
func inOrder(s *suite) {
	w := s.listen()
	r, _ := s.taken()
	s.enqueue(dialect.Waiter{Request: request(r.Name, s.dead()), Channel: w.Channel()})
	gone := s.waits(r.Name, w.Channel())
	s.drop(gone.LeaseID)
	a, b := s.waits(r.Name, w.Channel()), s.waits(r.Name, w.Channel())
	polls := s.waits(r.Name, "")
	last := s.waits(r.Name, w.Channel())
	elsewhere := request(r.Name, r.LeaseID)
	elsewhere.Slot = 1
	s.enqueue(dialect.Waiter{Request: elsewhere, Channel: w.Channel()})
	before := int64(0)
	for _, next := range []dialect.Request{a, b} {
		s.released(claim(r))
		fence := s.wantNotified(w, next)
		s.held(next, fence)
		if fence <= before {
			s.Errorf("fence %d after %d", fence, before)
		}
		r, before = next, fence
	}
	s.released(claim(r))
	s.isFree(r.Key)
	s.queued(r.Key, polls, last)
	s.queued(elsewhere.Key, elsewhere)
	s.nothing(w)
}

// handedAsAsked checks that the waiter's options apply as if it had acquired the lock.
func handedAsAsked(s *suite, beside ...dialect.Waiter) {
	w := s.listen()
	r, _ := s.taken()
	next := request(r.Name, s.lease(2*short))
	next.HoldAtLeast, next.LockDelay = time.Minute, time.Hour
	ask(s, s.d.Enqueue, append(beside, dialect.Waiter{Request: next, Channel: w.Channel()})...)
	sent := time.Now()
	s.released(claim(r))
	fence := s.wantNotified(w, next)
	s.remaining("HoldAtLeast", s.held(next, fence).FreeIn, next.HoldAtLeast, sent)
	s.waitExpired(next.LeaseID)
	s.free(deadHolder(next, fence))
	if row := s.get(r.Key); row.Held || row.FreeIn < 2*time.Minute {
		s.Errorf("freed after the waiter died, with a LockDelay of an hour: %+v", row)
	}
}

// severalHandedOver checks each lock of a batch separately, including locks without waiters.
func severalHandedOver(s *suite) {
	w := s.listen()
	lease := s.lease(long)
	var claims []dialect.Claim
	waiting := make(map[string]dialect.Request) // by owner
	polling := make(map[string]dialect.Request) // by the lock's name
	dead := s.dead()
	for i := range 9 {
		r := request(unique("lock"), lease)
		if i%3 == 1 {
			r.HoldAtLeast = time.Hour
		}
		s.take(r)
		if i%3 == 2 { // earlier waiters that don't get it
			elsewhere := request(r.Name, lease)
			elsewhere.Slot = 1
			for _, w := range []dialect.Request{request(r.Name, dead), elsewhere} {
				s.enqueue(dialect.Waiter{Request: w, Channel: "nobody"})
			}
		}
		if i%3 != 0 {
			next := s.waits(r.Name, w.Channel())
			if i%3 == 2 {
				waiting[next.Owner] = next
				polling[r.Name] = s.waits(r.Name, "")
			}
		}
		claims = append(claims, claim(r))
	}
	other, fence := s.taken()
	notOwn := s.waits(other.Name, w.Channel())
	got := ask(s, s.d.Release, append(claims, claim(request(other.Name, lease)))...)
	if slices.Contains(got[:9], false) || got[9] {
		s.Fatalf("Release returned %t", got)
	}
	for range len(waiting) {
		ctx, cancel := context.WithTimeout(s.ctx, soon)
		h, err := w.Next(ctx)
		cancel()
		s.must(err)
		r, ok := waiting[h.Owner]
		if !ok {
			s.Fatalf("got %+v, which names no waiter", h)
		}
		delete(waiting, h.Owner)
		s.held(r, h.Fence)
		s.queued(r.Key, polling[r.Name])
	}
	s.nothing(w)
	for i, c := range claims {
		row := s.get(c.Key)
		if row.Held != (i%3 == 2) || i%3 == 1 && row.FreeIn < long || i%3 == 0 && row.FreeIn > 0 {
			s.Errorf("%d: %+v", i, row)
		}
	}
	s.held(other, fence)
	s.queued(other.Key, notOwn)
}

// givingUp checks that a waiter that leaves while the lock is handed over has either left or got
// it.
func givingUp(s *suite) {
	given := 0
	for i := range 60 {
		r, _ := s.taken()
		next := s.waits(r.Name, "nobody")
		var group sync.WaitGroup
		group.Go(func() {
			time.Sleep(time.Duration(i%6) * 200 * time.Microsecond)
			if got, err := retryTransient(s, func(ctx context.Context) ([]bool, error) {
				return s.d.Release(ctx, []dialect.Claim{claim(r)})
			}); err != nil || !got[0] {
				s.Errorf("Release: %t, %v", got, err)
			}
		})
		time.Sleep(500 * time.Microsecond)
		gone := s.dequeue(next)
		group.Wait()
		row := s.get(r.Key)
		if got := row.Owner == next.Owner; got == gone || got != row.Held {
			s.Fatalf("Dequeue returned %t, and the row is %+v", gone, row)
		} else if got {
			given++
		}
		s.queued(r.Key)
	}
	s.Logf("handed over in %d of 60 cases", given)
}
