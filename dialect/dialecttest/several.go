package dialecttest

import (
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// asAlone: what several are asked for together is what each would have been asked for alone.
func asAlone(s *suite) {
	lease := s.lease(long)
	resent, barred, delayed, ahead := request(unique("d"), lease), request(unique("c"), lease), request(unique("b"), lease), request(unique("a"), lease)
	before := s.take(resent)
	fences := make(map[dialect.Key]int64)
	for _, r := range []dialect.Request{barred, delayed, ahead} {
		fences[r.Key] = s.take(r)
		s.release(claim(r))
	}
	resent.HoldAtLeast, resent.Note = time.Hour, "sent again"
	barred.HoldAtLeast, barred.Owner, barred.Note = time.Hour, unique("owner"), "barred"
	delayed.LockDelay, delayed.Owner, delayed.LeaseID = time.Hour, unique("owner"), s.lease(time.Millisecond)
	ahead.Owner = unique("owner")
	fresh := request(unique("e"), lease)
	fresh.HoldAtLeast, fresh.Note = time.Hour, "new"
	asked := []dialect.Request{resent, fresh, barred, delayed, ahead}

	sent := time.Now()
	grants := ask(s, s.d.Acquire, asked...)
	for i, r := range asked {
		row := s.held(r, grants[i].Fence)
		if g := grants[i]; !g.Granted || g.Fence <= max(before, fences[r.Key]) || row.Note != r.Note {
			s.Errorf("%d: %+v after %d, with the note %q", i, g, fences[r.Key], row.Note)
		}
		if r.HoldAtLeast > 0 {
			s.left("HoldAtLeast", row.FreeIn, r.HoldAtLeast, sent)
		}
		if apart := row.AcquiredAt.Sub(time.UnixMicro(grants[i].Fence)).Abs(); apart > atOnce {
			s.Errorf("%d: acquired at %s, %s apart from the fence", i, row.AcquiredAt, apart)
		}
	}
	s.buried(delayed.LeaseID)
	s.free(orphan(delayed, grants[3].Fence))
	if row := s.look(delayed.Key); row.Held || row.FreeIn < long {
		s.Errorf("freed after a LockDelay of an hour: %+v", row)
	}
	got := ask(s, s.d.Release, claim(fresh), claim(delayed), claim(barred), claim(ahead), claim(resent))
	if !slices.Equal(got, []bool{true, false, true, true, true}) {
		s.Errorf("Release answered %t", got)
	}
	for i, r := range asked {
		if row := s.look(r.Key); row.Held || row.Fence != grants[i].Fence || (row.FreeIn > long) != (r.HoldAtLeast+r.LockDelay > 0) {
			s.Errorf("%d: released, and the row is %+v", i, row)
		}
	}
	s.take(request(ahead.Name, lease))
}

// otherReleases: a lock that is guarded doesn't keep the others of its batch from being released.
func otherReleases(s *suite) {
	lease := s.lease(long)
	a, guarded, c := request(unique("a"), lease), request(unique("b"), lease), request(unique("c"), lease)
	s.take(a)
	fence := s.take(guarded)
	s.take(c)
	tx := s.begin(0)
	s.guard(tx, claim(guarded))
	stranger := claim(request(unique("d"), lease))
	s.quickly("a batch of releases", func(s *suite) {
		got := ask(s, s.d.Release, claim(c), claim(guarded), stranger, claim(a))
		if !slices.Equal(got, []bool{true, false, false, true}) {
			s.Errorf("Release answered %t", got)
		}
	})
	s.held(guarded, fence)
	s.take(request(a.Name, lease))
	s.take(request(c.Name, lease))
	s.must(tx.Commit())
	if !s.release(claim(guarded)) {
		s.Error("Release was refused after the transaction")
	}
}

// besideOthers: a batch doesn't wait for a row that anybody is at, free or held, guarded or being changed.
func besideOthers(s *suite) {
	lease := s.lease(long)
	guarded, busy := request(unique("b"), lease), request(unique("d"), lease)
	rest := []dialect.Request{request(unique("a"), lease), request(unique("c"), lease), request(unique("e"), lease)}
	for _, r := range append(rest, busy) {
		s.take(r)
		s.release(claim(r))
	}
	s.take(guarded)
	tx := s.begin(0)
	s.guard(tx, claim(guarded))
	_, err := tx.ExecContext(s.ctx, "UPDATE sqllock_locks SET note = 'busy' WHERE name = '"+busy.Name+"' AND slot = 0")
	s.must(err)
	next := s.lease(long)
	s.quickly("a batch of acquires", func(s *suite) {
		asked := []dialect.Request{request(busy.Name, next), request(guarded.Name, next)}
		for _, r := range rest {
			asked = append(asked, request(r.Name, next))
		}
		for i, g := range ask(s, s.d.Acquire, asked...) {
			if g.Granted != (i > 1) {
				s.Errorf("%d: %+v, while others were at the first two rows", i, g)
			}
		}
	})
	s.must(tx.Rollback())
	s.take(request(busy.Name, next))
}
