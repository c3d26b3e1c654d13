package dialecttest

import (
	"context"
	"errors"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// contexts checks that nothing is sent to the database with a ctx that has ended.
func contexts(s *suite) {
	lease := s.lease(long)
	held, dead := request(unique("held"), lease), request(unique("dead"), "")
	fence := s.take(held)
	_, o := s.holderDied(dead)
	created := dialect.Lease{ID: unique("lease"), Holder: "h", TTL: long}
	wanted := request(unique("wanted"), lease)

	calls := map[string]func(context.Context) error{
		"Probe":       func(ctx context.Context) error { _, err := s.d.Probe(ctx); return err },
		"CreateLease": func(ctx context.Context) error { return s.d.CreateLease(ctx, created) },
		"RenewLeases": func(ctx context.Context) error { _, err := s.d.RenewLeases(ctx, []string{lease}); return err },
		"ExpireLeases": func(ctx context.Context) error {
			_, err := s.d.ExpireLeases(ctx, []string{lease})
			return err
		},
		"DeleteExpired": func(ctx context.Context) error { _, err := s.d.DeleteExpired(ctx, 0, 10); return err },
		"ExpireUnrenewed": func(ctx context.Context) error {
			_, err := s.d.ExpireUnrenewed(ctx, []dialect.Renewal{{LeaseID: lease}})
			return err
		},
		"OverlongLeases": func(ctx context.Context) error { _, err := s.d.OverlongLeases(ctx, 10); return err },
		"EndBars": func(ctx context.Context) error {
			_, err := s.d.EndBars(ctx, []dialect.Bar{{Key: held.Key}})
			return err
		},
		"DeleteLeases": func(ctx context.Context) error {
			return s.d.DeleteLeases(ctx, []string{lease})
		},
		"Acquire": func(ctx context.Context) error {
			_, err := s.d.Acquire(ctx, []dialect.Request{wanted})
			return err
		},
		"Release": func(ctx context.Context) error {
			_, err := s.d.Release(ctx, []dialect.Claim{claim(held)})
			return err
		},
		"Free":  func(ctx context.Context) error { _, err := s.d.Free(ctx, []dialect.DeadHolder{o}); return err },
		"Get":   func(ctx context.Context) error { _, err := s.d.Get(ctx, []dialect.Key{held.Key}); return err },
		"List":  func(ctx context.Context) error { _, err := s.d.List(ctx, dialect.Key{}, false, 10); return err },
		"Purge": func(ctx context.Context) error { _, err := s.d.Purge(ctx, 0, 10); return err },
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
	calls["ListWaiters"] = func(ctx context.Context) error { _, err := s.d.ListWaiters(ctx, 0, 10); return err }
	calls["WaitingHolders"] = func(ctx context.Context) error { _, err := s.d.WaitingHolders(ctx, 0, 10); return err }
	calls["Transfer"] = func(ctx context.Context) error {
		_, err := s.d.Transfer(ctx, []dialect.Transfer{{Claim: claim(held), Next: next}})
		return err
	}
	calls["PurgeWaiters"] = func(ctx context.Context) error { _, err := s.d.PurgeWaiters(ctx, 10); return err }
	calls["AdvanceFence"] = func(ctx context.Context) error {
		_, err := s.d.AdvanceFence(ctx, []dialect.FenceAdvance{{Claim: claim(held), Fence: fence + 1}})
		return err
	}
	undone := done(unique("undone"))
	calls["Recall"] = func(ctx context.Context) error { _, err := s.d.Recall(ctx, []string{undone.Name}); return err }
	calls["Remember"] = func(ctx context.Context) error {
		_, err := s.d.Remember(ctx, []dialect.Done{undone})
		return err
	}
	calls["PurgeOutcomes"] = func(ctx context.Context) error { _, err := s.d.PurgeOutcomes(ctx, 10); return err }
	calls["Break"] = func(ctx context.Context) error {
		_, err := s.d.Break(ctx, []dialect.Break{toBreak(held)})
		return err
	}
	calls["ListBreaks"] = func(ctx context.Context) error { _, err := s.d.ListBreaks(ctx, held.Name, 10); return err }
	calls["PurgeBreaks"] = func(ctx context.Context) error { _, err := s.d.PurgeBreaks(ctx, 0, 10); return err }
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	late, cancel := context.WithDeadline(s.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for name, call := range calls {
		for _, ctx := range []context.Context{cancelled, late} {
			err := call(ctx)
			if !errors.Is(err, ctx.Err()) {
				s.Errorf("%s: %v, want %v", name, err, ctx.Err())
			} else if class := s.d.Classify(err); class != dialect.ClassUnknown && class != dialect.ClassTransient {
				s.Errorf("%s: class %s for %v", name, class, err)
			}
		}
	}
	s.held(held, fence)
	if s.get(wanted.Key).Exists || !s.renew(lease) || s.renew(created.ID) || !s.get(o.Key).Held {
		s.Error("something was done under a ctx that had ended")
	}
	s.queued(held.Key, waiting)
	s.forgotten(undone.Name)
	s.broken(held.Name)
}
