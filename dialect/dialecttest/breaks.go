package dialecttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// toBreak returns a break of the lock that the request may hold.
func toBreak(r dialect.Request) dialect.Break {
	return dialect.Break{
		Claim: claim(r), ID: unique("break"), Kind: "lock", By: "Ann Ö. <ann@example.org>", From: "operator",
		Reason: `host "a" is gone; '\ DROP 錠`,
	}
}

// breakOf returns a break of the lock that the request holds, as it is read.
func (s *suite) breakOf(r dialect.Request) dialect.Break {
	s.Helper()
	b, row := toBreak(r), s.get(r.Key)
	b.Fence, b.Holder, b.Note, b.Since = row.Fence, row.Holder, row.Note, row.AcquiredAt
	return b
}

// breakNew takes the lock and returns a break of it.
func (s *suite) breakNew(r dialect.Request) dialect.Break {
	s.Helper()
	s.take(r)
	return s.breakOf(r)
}

func (s *suite) breaks(b dialect.Break) bool {
	s.Helper()
	return ask(s, s.d.Break, b)[0]
}

func (s *suite) listBreaks(name string, limit int) []dialect.Broken {
	s.Helper()
	broken, err := retryTransient(s, func(ctx context.Context) ([]dialect.Broken, error) {
		return s.d.ListBreaks(ctx, name, limit)
	})
	s.must(err)
	return broken
}

// broken checks that these breaks of a name are recorded, the last one first.
func (s *suite) broken(name string, want ...dialect.Break) {
	s.Helper()
	var got []dialect.Break
	found := s.listBreaks(name, len(want)+1)
	for i, b := range found {
		got = append(got, b.Break)
		if i > 0 && b.At.After(found[i-1].At) {
			s.Errorf("the break at %s comes after that at %s", b.At, found[i-1].At)
		}
	}
	recorded := slices.Clone(want)
	for i := range recorded {
		recorded[i].Owner = ""
	}
	if !slices.Equal(got, recorded) {
		s.Errorf("recorded as broken are %+v, want %+v", got, recorded)
	}
}

// breaks checks that a break releases the lock of the owner that it names and writes a row, or does
// neither.
func breaks(s *suite) {
	s.run("as a release", breakReleases)
	s.run("not by another owner", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		before := s.held(r, fence)
		other, slot, name := s.breakOf(r), s.breakOf(r), s.breakOf(r)
		other.Owner, slot.Slot, name.Name = unique("owner"), 1, unique("never there")
		if got := ask(s, s.d.Break, other, slot, name); slices.Contains(got, true) {
			s.Errorf("Break returned %t for what isn't held", got)
		}
		if after := s.held(r, fence); still(after) != still(before) {
			s.Errorf("a break of another changed the row from %+v to %+v", before, after)
		}
		s.broken(r.Name)
		s.broken(name.Name)
	})
	s.run("sent again", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		b := s.breakNew(r)
		for range 2 {
			if !s.breaks(b) {
				s.Error("a break was refused, or the same one sent again")
			}
		}
		next := request(r.Name, r.LeaseID)
		fence := s.take(next)
		if !s.breaks(b) {
			s.Error("sent again after the next acquisition, it was refused")
		}
		s.held(next, fence)
		s.broken(r.Name, b)
	})
	s.run("also of a dead lease", func(s *suite) {
		r, o := s.holderDied(request(unique("lock"), ""))
		b := s.breakOf(r)
		if !s.breaks(b) {
			s.Error("Break was refused")
		}
		if s.free(o) {
			s.Error("Free was granted after the break")
		}
		s.broken(r.Name, b)
	})
	s.run("each by itself", breakEach)
	s.run("only so many", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		var last dialect.Break
		for range 3 {
			last = s.breakNew(r)
			s.breaks(last)
			time.Sleep(2 * tick)
		}
		for limit, want := range []int{0, 1, 2, 3, 3} {
			got := s.listBreaks(r.Name, limit)
			if len(got) != want || want > 0 && got[0].ID != last.ID {
				s.Errorf("ListBreaks of at most %d returned %+v, want %d with the last one first", limit, got, want)
			}
		}
	})
	s.run("texts that don't fit", breakTexts)
	s.run("no break without its row", breakUnrecorded)
	if s.Powers.Notifier {
		s.run("handed over", breakHandsOver)
	}
	if s.DB != nil {
		s.run("behind a guard", breakWaits)
	}
}

func breakReleases(s *suite) {
	r := request(unique("lock"), s.lease(long))
	r.Note, r.HoldAtLeast = "note "+r.Name, 2*short
	fence := s.take(r)
	row := s.held(r, fence)
	b := s.breakOf(r)
	if !s.breaks(b) {
		s.Fatal("Break was refused")
	}
	if row := s.get(r.Key); row.Held || row.Fence != fence || row.Owner != "" {
		s.Errorf("the row is %+v, want it free with fence %d", row, fence)
	}
	s.broken(r.Name, b)
	at := s.listBreaks(r.Name, 1)[0].At
	if at.Before(row.AcquiredAt) || at.Sub(row.AcquiredAt) > soon {
		s.Errorf("broken at %s, and acquired at %s", at, row.AcquiredAt)
	}
	if s.release(claim(r)) {
		s.Error("it could be released afterwards")
	}
	if row.FreeIn > 0 {
		s.refused(request(r.Name, r.LeaseID))
	}
	next := request(r.Name, r.LeaseID)
	var grant dialect.Grant
	s.eventually("free after its HoldAtLeast", func() bool { grant = s.acquire(next); return grant.Granted })
	if grant.Fence <= fence {
		s.Errorf("fence %d after %d", grant.Fence, fence)
	}
}

func breakEach(s *suite) {
	lease := s.lease(long)
	a, b, c := request(unique("c"), lease), request(unique("b"), lease), request(unique("a"), lease)
	b.Slot = 7
	ask(s, s.d.Acquire, a, b, c)
	first, second, third := s.breakOf(a), s.breakOf(b), s.breakOf(c)
	stranger := second
	stranger.Owner = unique("owner")
	if got := ask(s, s.d.Break, first, stranger, third); !slices.Equal(got, []bool{true, false, true}) {
		s.Errorf("Break returned %t", got)
	}
	if !s.breaks(second) {
		s.Error("Break was refused")
	}
	for name, want := range map[string]dialect.Break{a.Name: first, b.Name: second, c.Name: third} {
		s.broken(name, want)
	}
}

// breakTexts checks that what doesn't fit is refused and not cut, and that what fits is stored
// unchanged.
func breakTexts(s *suite) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	for what, spoil := range map[string]func(*dialect.Break){
		"no id":       func(b *dialect.Break) { b.ID = "" },
		"id":          func(b *dialect.Break) { b.ID = strings.Repeat("x", 65) },
		"kind":        func(b *dialect.Break) { b.Kind = strings.Repeat("x", 65) },
		"holder":      func(b *dialect.Break) { b.Holder = strings.Repeat("x", 256) },
		"note":        func(b *dialect.Break) { b.Note = strings.Repeat("x", 256) },
		"person":      func(b *dialect.Break) { b.By = strings.Repeat("x", 256) },
		"process":     func(b *dialect.Break) { b.From = strings.Repeat("x", 256) },
		"reason":      func(b *dialect.Break) { b.Reason = strings.Repeat("x", dialect.MaxReason+1) },
		"not UTF-8":   func(b *dialect.Break) { b.Reason = "\xff" },
		"not without": func(b *dialect.Break) { b.By = "a\x00b" },
	} {
		b := s.breakOf(r)
		spoil(&b)
		if _, err := s.d.Break(s.ctx, []dialect.Break{b}); !errors.Is(err, dialect.ErrInvalid) ||
			s.d.Classify(err) != dialect.ClassPermanent {
			s.Errorf("%s: %v", what, err)
		}
	}
	s.held(r, fence)
	s.broken(r.Name)
	s.release(claim(r))
	r.Note, r.Owner = strings.Repeat("n", 255), unique("owner")
	full := s.breakNew(r)
	full.ID += strings.Repeat("i", 64-len(full.ID))
	full.Kind, full.Holder = strings.Repeat("k", 64), strings.Repeat("é", 127)+"h"
	full.By, full.From = strings.Repeat("錠", 85), strings.Repeat("f", 255)
	full.Reason = strings.Repeat("r", dialect.MaxReason)
	if !s.breaks(full) {
		s.Error("a break with texts of full length was refused")
	}
	s.broken(r.Name, full)
}

// breakUnrecorded makes the row of a break impossible, by an id that another one has. The lock must
// stay held, and a database says why.
func breakUnrecorded(s *suite) {
	lease := s.lease(long)
	a, b := request(unique("lock"), lease), request(unique("lock"), lease)
	first := s.breakNew(a)
	s.breaks(first)
	fence := s.take(b)
	again := s.breakOf(b)
	again.ID = first.ID
	if got, err := s.d.Break(s.ctx, []dialect.Break{again}); err == nil && s.DB != nil {
		s.Errorf("a break with the id of another returned %t", got)
	}
	s.held(b, fence)
	s.broken(a.Name, first)
	s.broken(b.Name)
}

// breakHandsOver checks that a break hands the lock over as a release does.
func breakHandsOver(s *suite) {
	l := s.listen()
	r, _ := s.taken()
	next := s.waits(r.Name, l.Channel())
	b := s.breakOf(r)
	if !s.breaks(b) {
		s.Fatal("Break was refused")
	}
	s.held(next, s.wantNotified(l, next))
	s.queued(r.Key)
	s.broken(r.Name, b)
}

// breakWaits checks that Break waits for a guard, also if its ctx ends meanwhile, and that there is
// no row before.
func breakWaits(s *suite) {
	r := request(unique("lock"), s.lease(long))
	b := s.breakNew(r)
	tx := s.begin(0)
	if got := s.guard(tx, claim(r)); !got[0] {
		s.Fatal("Guard refused its owner")
	}
	ctx, cancel := context.WithTimeout(s.ctx, short)
	defer cancel()
	if got, err := s.d.Break(ctx, []dialect.Break{s.breakOf(r)}); err == nil {
		s.Fatalf("Break returned %t while a guarded transaction was open", got)
	}
	s.quickly("ListBreaks", func(s *suite) { s.broken(r.Name) })
	s.waitsFor(tx, "Break", func(ctx context.Context) ([]bool, error) { return s.d.Break(ctx, []dialect.Break{b}) })
	s.broken(r.Name, b)
	s.take(request(r.Name, r.LeaseID))
}

// purgeBreaks checks that only old rows are purged.
func purgeBreaks(s *suite) {
	purge := func(ago time.Duration, limit int) int {
		s.Helper()
		n, err := retryTransient(s, func(ctx context.Context) (int, error) { return s.d.PurgeBreaks(ctx, ago, limit) })
		s.must(err)
		return n
	}
	r := request(unique("lock"), s.lease(long))
	for range 5 {
		s.breaks(s.breakNew(r))
	}
	if n := purge(time.Hour, 100); n != 0 {
		s.Errorf("PurgeBreaks of what is an hour old returned %d", n)
	}
	time.Sleep(2 * tick)
	if n := purge(0, 0); n != 0 {
		s.Errorf("PurgeBreaks with limit 0 returned %d", n)
	}
	for _, want := range []int{2, 2, 1, 0} {
		if n := purge(0, 2); n != want {
			s.Errorf("PurgeBreaks of at most 2 returned %d, want %d", n, want)
		}
	}
	s.broken(r.Name)
	last := s.breakNew(r)
	s.breaks(last)
	broken := time.Now()
	if n := purge(soon, 100); n != 0 && time.Since(broken) < soon {
		s.Errorf("PurgeBreaks of what is %s old returned %d", soon, n)
	}
	s.broken(r.Name, last)
}
