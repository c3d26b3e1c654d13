package dialecttest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// listen opens a connection for wake-ups that is closed with the test.
func (s *suite) listen() dialect.Wakes {
	s.Helper()
	w, err := s.d.(dialect.Waker).OpenWakes(s.ctx, "listener")
	s.must(err)
	s.Cleanup(func() { w.Close() })
	return w
}

// hears waits for the next hand-over.
func (s *suite) isTold(w dialect.Wakes, want dialect.Request) int64 {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, soon)
	defer cancel()
	h, err := w.Next(ctx)
	s.must(err)
	if h.Owner != want.Owner {
		s.Fatalf("heard %+v, want one for %q", h, want.Owner)
	}
	return h.Fence
}

// nothing checks that there is no message, but for what may come later.
func (s *suite) nothing(w dialect.Wakes) {
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

// released checks that it was its owner's.
func (s *suite) released(claims ...dialect.Claim) {
	s.Helper()
	if got := ask(s, s.d.Release, claims...); slices.Contains(got, false) {
		s.Fatalf("Release answered %t", got)
	}
}

// isFree checks that nobody holds it, and that anybody may.
func (s *suite) isFree(k dialect.Key) {
	s.Helper()
	if row := s.look(k); row.Held || row.FreeIn > 0 {
		s.Fatalf("not free: %+v", row)
	}
}

// wakes: a release gives the lock to the first who can be told, and tells it.
func wakes(s *suite) {
	s.run("told", func(s *suite) {
		w := s.listen()
		r, before := s.taken()
		row := s.look(r.Key)
		next := s.waits(r.Name, w.Channel())
		time.Sleep(4 * tick)
		s.released(claim(r))
		fence := s.isTold(w, next)
		got := s.held(next, fence)
		if fence <= before || got.Note != next.Note || !got.AcquiredAt.After(row.AcquiredAt) {
			s.Errorf("the row went from %+v to %+v", row, got)
		}
		if apart := got.AcquiredAt.Sub(time.UnixMicro(fence)).Abs(); apart > atOnce {
			s.Errorf("acquired at %s, %s apart from the fence", got.AcquiredAt, apart)
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
	s.run("as asked for", handedAsAsked)
	s.run("not before it is to be free", func(s *suite) {
		w := s.listen()
		r := request(unique("lock"), s.lease(long))
		r.HoldAtLeast = time.Hour
		s.take(r)
		next := s.waits(r.Name, w.Channel())
		s.released(claim(r))
		if row := s.look(r.Key); row.Held || row.FreeIn < long {
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
			s.Error("a stranger's Release was granted")
		}
		ask(s, s.d.Release, claim(stranger), claim(request(r.Name, r.LeaseID)))
		s.held(r, fence)
		s.queued(r.Key, next)
		s.nothing(w)
	})
	s.run("each hears its own", func(s *suite) {
		v, w := s.listen(), s.listen()
		if v.Channel() == "" || v.Channel() == w.Channel() {
			s.Fatalf("channels %q and %q", v.Channel(), w.Channel())
		}
		a, _ := s.taken()
		b, _ := s.taken()
		nextA, nextB := s.waits(a.Name, v.Channel()), s.waits(b.Name, w.Channel())
		s.released(claim(b))
		s.released(claim(a))
		s.held(nextA, s.isTold(v, nextA))
		s.held(nextB, s.isTold(w, nextB))
		s.nothing(v)
		s.nothing(w)
	})
	s.run("nobody listens any more", func(s *suite) {
		w := s.listen()
		s.must(w.Close())
		r, fence := s.taken()
		next := s.waits(r.Name, w.Channel())
		s.released(claim(r))
		row := s.look(r.Key)
		if row.Owner != next.Owner || row.Fence <= fence || s.dequeue(next) {
			s.Errorf("the row is %+v, want it the waiter's, who isn't told", row)
		}
		s.take(next)
	})
	s.run("giving up and being given at the same time", givingUp)
}

// inOrder: the first who is alive, one after the other; but to one who polls nothing is handed, so that it finds the lock free.
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
		fence := s.isTold(w, next)
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

// handedAsAsked: what the waiter asked for holds, as if it had acquired the lock.
func handedAsAsked(s *suite) {
	w := s.listen()
	r, _ := s.taken()
	next := request(r.Name, s.lease(2*short))
	next.HoldAtLeast, next.LockDelay = time.Minute, time.Hour
	s.enqueue(dialect.Waiter{Request: next, Channel: w.Channel()})
	sent := time.Now()
	s.released(claim(r))
	fence := s.isTold(w, next)
	s.left("HoldAtLeast", s.held(next, fence).FreeIn, next.HoldAtLeast, sent)
	s.buried(next.LeaseID)
	s.free(orphan(next, fence))
	if row := s.look(r.Key); row.Held || row.FreeIn < 2*time.Minute {
		s.Errorf("freed after the waiter died, with a LockDelay of an hour: %+v", row)
	}
}

// severalHandedOver: each of a batch by itself, those that nobody waits for among them.
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
		if i%3 == 2 { // those before it who don't get it
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
	notHis := s.waits(other.Name, w.Channel())
	got := ask(s, s.d.Release, append(claims, claim(request(other.Name, lease)))...)
	if slices.Contains(got[:9], false) || got[9] {
		s.Fatalf("Release answered %t", got)
	}
	for range len(waiting) {
		ctx, cancel := context.WithTimeout(s.ctx, soon)
		h, err := w.Next(ctx)
		cancel()
		s.must(err)
		r, ok := waiting[h.Owner]
		if !ok {
			s.Fatalf("heard %+v, of nobody who waits", h)
		}
		delete(waiting, h.Owner)
		s.held(r, h.Fence)
		s.queued(r.Key, polling[r.Name])
	}
	s.nothing(w)
	for i, c := range claims {
		row := s.look(c.Key)
		if row.Held != (i%3 == 2) || i%3 == 1 && row.FreeIn < long || i%3 == 0 && row.FreeIn > 0 {
			s.Errorf("%d: %+v", i, row)
		}
	}
	s.held(other, fence)
	s.queued(other.Key, notHis)
}

// givingUp: a waiter that goes while the lock is handed over has either gone or got it.
func givingUp(s *suite) {
	given := 0
	for i := range 60 {
		r, _ := s.taken()
		next := s.waits(r.Name, "nobody")
		var group sync.WaitGroup
		group.Go(func() {
			time.Sleep(time.Duration(i%6) * 200 * time.Microsecond)
			if got, err := settle(s, func(ctx context.Context) ([]bool, error) {
				return s.d.Release(ctx, []dialect.Claim{claim(r)})
			}); err != nil || !got[0] {
				s.Errorf("Release: %t, %v", got, err)
			}
		})
		time.Sleep(500 * time.Microsecond)
		gone := s.dequeue(next)
		group.Wait()
		row := s.look(r.Key)
		if got := row.Owner == next.Owner; got == gone || got != row.Held {
			s.Fatalf("Dequeue answered %t, and the row is %+v", gone, row)
		} else if got {
			given++
		}
		s.queued(r.Key)
	}
	s.Logf("handed over in %d of 60 cases", given)
}
