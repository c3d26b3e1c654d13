package dialecttest

import (
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// asAlone: what several are asked for together is what each would have been asked for alone.
func asAlone(s *suite) {
	asked, before := differing(s)
	time.Sleep(4 * tick)
	sent := time.Now()
	grants := ask(s, s.d.Acquire, asked...)
	for i, r := range asked {
		g, row := grants[i], s.held(r, grants[i].Fence)
		if !g.Granted || g.Fence <= before[i].Fence || !row.AcquiredAt.After(before[i].AcquiredAt) || row.Note != r.Note {
			s.Errorf("%d: %+v, and the row went from %+v to %+v", i, g, before[i], row)
		}
		if r.HoldAtLeast > 0 {
			s.left("HoldAtLeast", row.FreeIn, r.HoldAtLeast, sent)
		}
		if apart := row.AcquiredAt.Sub(time.UnixMicro(g.Fence)).Abs(); apart > atOnce {
			s.Errorf("%d: acquired at %s, %s apart from the fence", i, row.AcquiredAt, apart)
		}
	}
	asked, grants = s.lockDelayed(asked, grants), grants[1:]

	time.Sleep(4 * tick)
	var claims []dialect.Claim
	for _, r := range asked {
		wrong := claim(r)
		wrong.Slot++
		claims = append(claims, wrong)
	}
	if got := ask(s, s.d.Release, claims...); slices.Contains(got, true) {
		s.Errorf("Release of other slots answered %t", got)
	}
	for i, r := range asked {
		s.held(r, grants[i].Fence)
		claims[i] = claim(r)
	}
	sent = time.Now()
	if got := ask(s, s.d.Release, claims...); slices.Contains(got, false) {
		s.Errorf("Release answered %t", got)
	}
	for i, r := range asked {
		row, least := s.look(r.Key), -time.Since(sent)-slack
		if r.HoldAtLeast > 0 {
			least = long
		}
		if row.Held || row.Fence != grants[i].Fence || row.FreeIn < least || r.HoldAtLeast == 0 && row.FreeIn > 0 {
			s.Errorf("%d: released, and the row is %+v", i, row)
		}
	}
}

// differing are requests that ask for different things, of rows in different states. The first has a LockDelay.
func differing(s *suite) ([]dialect.Request, []dialect.Row) {
	lease := s.lease(long)
	var asked []dialect.Request
	for _, name := range []string{"delayed", "barred", "again", "plain", "new"} {
		r := request(unique(name), lease)
		if name != "new" {
			s.take(r)
		}
		if name != "new" && name != "again" {
			s.release(claim(r))
			r.Owner = unique("owner")
		}
		r.Note = "note of " + name
		asked = append(asked, r)
	}
	asked[0].LockDelay, asked[0].LeaseID = time.Hour, s.lease(2*short)
	asked[1].HoldAtLeast, asked[2].HoldAtLeast, asked[4].HoldAtLeast = time.Hour, 2*time.Hour, 3*time.Hour
	before := make([]dialect.Row, len(asked))
	for i, r := range asked {
		before[i] = s.look(r.Key)
	}
	return asked, before
}

// lockDelayed lets the first's holder die, and answers the others.
func (s *suite) lockDelayed(asked []dialect.Request, grants []dialect.Grant) []dialect.Request {
	s.buried(asked[0].LeaseID)
	s.free(orphan(asked[0], grants[0].Fence))
	if row := s.look(asked[0].Key); row.Held || row.FreeIn < long {
		s.Errorf("freed after its holder died, with a LockDelay of an hour: %+v", row)
	}
	return asked[1:]
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
