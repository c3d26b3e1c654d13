package dialecttest

import (
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// asSingle checks that a batch has the same effect as its elements one by one.
func asSingle(s *suite) {
	asked, before := differing(s)
	time.Sleep(4 * tick)
	sent := time.Now()
	grants := ask(s, s.d.Acquire, asked...)
	for i, r := range asked {
		g, row := grants[i], s.held(r, grants[i].Fence)
		if !g.Granted || g.Fence <= before[i].Fence || !row.AcquiredAt.After(before[i].AcquiredAt) ||
			row.Note != r.Note {
			s.Errorf("%d: %+v, and the row went from %+v to %+v", i, g, before[i], row)
		}
		if r.HoldAtLeast > 0 {
			s.remaining("HoldAtLeast", row.FreeIn, r.HoldAtLeast, sent)
		}
		if apart := row.AcquiredAt.Sub(time.UnixMicro(g.Fence)).Abs(); apart > atOnce {
			s.Errorf("%d: acquired at %s, %s from the fence", i, row.AcquiredAt, apart)
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
		s.Errorf("Release of other slots returned %t", got)
	}
	for i, r := range asked {
		s.held(r, grants[i].Fence)
		claims[i] = claim(r)
	}
	if got := ask(s, s.d.Release, claims...); slices.Contains(got, false) {
		s.Errorf("Release returned %t", got)
	}
	for i, r := range asked {
		row, barred := s.get(r.Key), r.HoldAtLeast > 0
		if row.Held || row.Fence != grants[i].Fence || barred && row.FreeIn < long || !barred && row.FreeIn > 0 {
			s.Errorf("%d: released, and the row is %+v", i, row)
		}
		if since := row.AcquiredAt.Sub(time.UnixMicro(row.Fence)); !barred && since < 2*tick {
			s.Errorf("%d: released %s after it was acquired, according to the row: %+v", i, since, row)
		}
	}
}

// differing returns requests with different options, for rows in different states. The first has a
// LockDelay.
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
		before[i] = s.get(r.Key)
	}
	return asked, before
}

// lockDelayed lets the first one's holder die, and returns the others.
func (s *suite) lockDelayed(asked []dialect.Request, grants []dialect.Grant) []dialect.Request {
	s.waitExpired(asked[0].LeaseID)
	s.free(deadHolder(asked[0], grants[0].Fence))
	if row := s.get(asked[0].Key); row.Held || row.FreeIn < long {
		s.Errorf("freed after its holder died, with a LockDelay of an hour: %+v", row)
	}
	return asked[1:]
}

// otherReleases checks that a guarded lock doesn't keep the others of its batch from being
// released.
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
			s.Errorf("Release returned %t", got)
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

// besideOthers checks that a batch doesn't wait for a locked row, free or held, guarded or being
// changed.
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
	_, err := tx.Exec(s.ctx, "UPDATE sqllock_locks SET note = 'busy' WHERE name = '"+busy.Name+"' AND slot = 0")
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
