package dialecttest

import (
	"context"
	"errors"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// contexts: with a ctx that has ended, nothing is asked of the database.
func contexts(s *suite) {
	lease := s.lease(long)
	held, dead := request(unique("held"), lease), request(unique("dead"), "")
	fence := s.take(held)
	_, o := s.orphaned(dead)
	created := dialect.Lease{ID: unique("lease"), Holder: "h", TTL: long}
	wanted := request(unique("wanted"), lease)

	calls := map[string]func(context.Context) error{
		"Probe":       func(ctx context.Context) error { _, err := s.d.Probe(ctx); return err },
		"CreateLease": func(ctx context.Context) error { return s.d.CreateLease(ctx, created) },
		"RenewLeases": func(ctx context.Context) error { _, err := s.d.RenewLeases(ctx, []string{lease}); return err },
		"BuryLeases":  func(ctx context.Context) error { _, err := s.d.BuryLeases(ctx, []string{lease}); return err },
		"BuryExpired": func(ctx context.Context) error { _, err := s.d.BuryExpired(ctx, 10); return err },
		"DeleteLeases": func(ctx context.Context) error {
			return s.d.DeleteLeases(ctx, []string{lease})
		},
		"Acquire": func(ctx context.Context) error { _, err := s.d.Acquire(ctx, []dialect.Request{wanted}); return err },
		"Release": func(ctx context.Context) error { _, err := s.d.Release(ctx, []dialect.Claim{claim(held)}); return err },
		"Free":    func(ctx context.Context) error { _, err := s.d.Free(ctx, []dialect.Orphan{o}); return err },
		"Look":    func(ctx context.Context) error { _, err := s.d.Look(ctx, []dialect.Key{held.Key}); return err },
		"List":    func(ctx context.Context) error { _, err := s.d.List(ctx, dialect.Key{}, false, 10); return err },
		"Purge":   func(ctx context.Context) error { _, err := s.d.Purge(ctx, 0, 10); return err },
	}
	waiting := request(held.Name, lease)
	s.enqueue(waiter(waiting))
	next := request(held.Name, lease)
	calls["Enqueue"] = func(ctx context.Context) error {
		_, err := s.d.Enqueue(ctx, []dialect.Waiter{waiter(request(held.Name, lease))})
		return err
	}
	calls["Dequeue"] = func(ctx context.Context) error {
		_, err := s.d.Dequeue(ctx, []dialect.Claim{claim(waiting)})
		return err
	}
	calls["Queue"] = func(ctx context.Context) error { _, err := s.d.Queue(ctx, held.Key, 10); return err }
	calls["Holding"] = func(ctx context.Context) error { _, err := s.d.Holding(ctx, 0, 10); return err }
	calls["Pass"] = func(ctx context.Context) error {
		_, err := s.d.Pass(ctx, []dialect.Pass{{Claim: claim(held), Next: next}})
		return err
	}
	calls["PurgeWaiters"] = func(ctx context.Context) error { _, err := s.d.PurgeWaiters(ctx, 10); return err }
	calls["Raise"] = func(ctx context.Context) error {
		_, err := s.d.Raise(ctx, []dialect.Raise{{Claim: claim(held), Fence: fence + 1}})
		return err
	}
	undone := done(unique("undone"))
	calls["Recall"] = func(ctx context.Context) error { _, err := s.d.Recall(ctx, []string{undone.Name}); return err }
	calls["Remember"] = func(ctx context.Context) error { _, err := s.d.Remember(ctx, []dialect.Done{undone}); return err }
	calls["PurgeOutcomes"] = func(ctx context.Context) error { _, err := s.d.PurgeOutcomes(ctx, 10); return err }
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	late, cancel := context.WithDeadline(s.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for name, call := range calls {
		for _, ctx := range []context.Context{cancelled, late} {
			err := call(ctx)
			if !errors.Is(err, ctx.Err()) {
				s.Errorf("%s: %v, want %v", name, err, ctx.Err())
			} else if class := s.d.Classify(err); class != dialect.Unknown && class != dialect.Transient {
				s.Errorf("%s: class %s for %v", name, class, err)
			}
		}
	}
	s.held(held, fence)
	if s.look(wanted.Key).Exists || !s.renew(lease) || s.renew(created.ID) || !s.look(o.Key).Held {
		s.Error("something was done under a ctx that had ended")
	}
	s.queued(held.Key, waiting)
	s.forgotten(undone.Name)
}
