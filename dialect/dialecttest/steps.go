package dialecttest

import (
	"fmt"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// steps checks that a clock that steps does no harm. A bar or a delay that wasn't requested has no
// length, and one that was requested has a known length. A caller that has watched a lease or a bar
// for that long can end it, whatever the clock says.
func steps(s *suite) {
	s.run("no bar without a request", notAskedFor)
	s.run("a bar has its length", barLength)
	s.run("a bar that is over", endBars)
	s.run("a lease that isn't renewed", unrenewed)
	if s.DB != nil {
		s.run("a lease that lasts too long", overlong)
	}
}

// notAskedFor checks that the lock is free however far the clock is set back.
func notAskedFor(s *suite) {
	const ages = 25 * 365 * 24 * time.Hour // less than since 1970
	check := func(what string, key dialect.Key) {
		s.Helper()
		if row := s.get(key); row.Held || row.FreeIn > -ages || row.Bar != 0 {
			s.Errorf("%s: a clock that is set back would bar the lock: %+v", what, row)
		}
	}
	checkHeld := func(what string, key dialect.Key) {
		s.Helper()
		if row := s.get(key); !row.Held || row.FreeIn > -ages {
			s.Errorf("%s: a clock that is set back would bar the lock after its release: %+v", what, row)
		}
	}
	lease := s.lease(long)
	for _, name := range []string{unique("new"), s.used()} {
		r := request(name, lease)
		r.LockDelay = time.Hour
		s.take(r)
		checkHeld("held", r.Key)
		s.release(claim(r))
		check("released", r.Key)
		next := request(name, lease)
		s.take(next)
		passed := request(name, lease)
		if grants := ask(s, s.d.Transfer, dialect.Transfer{Claim: claim(next), Next: passed}); !grants[0].Granted {
			s.Fatal("Transfer was refused")
		}
		checkHeld("transferred", r.Key)
		s.release(claim(passed))
		check("passed and released", r.Key)
	}
	several := []dialect.Request{request(unique("new"), lease), request(s.used(), lease), request(s.used(), lease)}
	for range 2 {
		claims := make([]dialect.Claim, len(several))
		for i := range several {
			several[i].Owner = unique("owner")
			claims[i] = claim(several[i])
		}
		ask(s, s.d.Acquire, several...)
		for _, r := range several {
			checkHeld("held with others", r.Key)
		}
		ask(s, s.d.Release, claims...)
		for _, r := range several {
			check("released with others", r.Key)
		}
	}
	r, o := s.holderDied(request(unique("lock"), ""))
	s.free(o)
	check("freed", r.Key)
	delayed, o := s.holderDied(dialect.Request{
		Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"),
		LockDelay: time.Second,
	})
	o.ExpiredFor = time.Minute
	s.free(o)
	check("freed after its delay", delayed.Key)
	held := request(unique("lock"), lease)
	held.HoldAtLeast = 5 * tick
	s.take(held)
	s.eventually("the bar ends", func() bool { return s.get(held.Key).FreeIn <= 0 })
	s.release(claim(held))
	check("released after its bar", held.Key)
}

func barLength(s *suite) {
	check := func(what string, key dialect.Key, want time.Duration) {
		s.Helper()
		row := s.get(key)
		if row.Bar < want-slack || row.Bar > want+slack || row.FreeIn > row.Bar {
			s.Errorf("%s: a bar of %s with %s remaining; want about %s", what, row.Bar, row.FreeIn, want)
		}
	}
	lease := s.lease(long)
	for _, name := range []string{unique("new"), s.used()} {
		r := request(name, lease)
		r.HoldAtLeast, r.LockDelay = time.Hour, 2*time.Hour
		s.take(r)
		time.Sleep(2 * slack)
		s.release(claim(r))
		check("HoldAtLeast", r.Key, time.Hour)
	}
	asked := []dialect.Request{request(unique("new"), lease), request(s.used(), lease)}
	claims := make([]dialect.Claim, len(asked))
	for i := range asked {
		asked[i].HoldAtLeast = time.Hour
		claims[i] = claim(asked[i])
	}
	ask(s, s.d.Acquire, asked...)
	time.Sleep(2 * slack)
	ask(s, s.d.Release, claims...)
	for _, r := range asked {
		check("HoldAtLeast among others", r.Key, time.Hour)
	}
	r, o := s.holderDied(dialect.Request{
		Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"),
		LockDelay: time.Hour,
	})
	o.ExpiredFor = time.Minute
	s.free(o)
	check("LockDelay", r.Key, time.Hour-o.ExpiredFor)
	r, o = s.holderDied(dialect.Request{
		Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"), HoldAtLeast: 2 * time.Hour, LockDelay: time.Hour,
	})
	time.Sleep(2 * slack)
	s.free(o)
	check("the longer one", r.Key, 2*time.Hour)
}

func endBars(s *suite) {
	lease := s.lease(long)
	r := request(unique("lock"), lease)
	r.HoldAtLeast = time.Hour
	fence := s.take(r)
	bar := dialect.Bar{Key: r.Key, Fence: fence}
	if ask(s, s.d.EndBars, bar)[0] {
		s.Error("the bar of a lock that is held was ended")
	}
	s.held(r, fence)
	s.release(claim(r))
	later, earlier, slot, name := bar, bar, bar, bar
	later.Fence++
	earlier.Fence--
	slot.Slot, name.Name = 1, unique("never there")
	if got := ask(s, s.d.EndBars, later, earlier, slot, name); slices.Contains(got, true) {
		s.Errorf("bars that aren't there were ended: %t", got)
	}
	s.refused(request(r.Name, lease))
	if got := ask(s, s.d.EndBars, slot, bar, name); !slices.Equal(got, []bool{false, true, false}) {
		s.Errorf("EndBars returned %t", got)
	}
	if ask(s, s.d.EndBars, bar)[0] {
		s.Error("a bar was ended twice")
	}
	next := request(r.Name, lease)
	if again := s.take(next); again <= fence {
		s.Errorf("fence %d after %d", again, fence)
	}
	if ask(s, s.d.EndBars, bar)[0] {
		s.Error("the bar of a lock that changed hands was ended")
	}
}

func unrenewed(s *suite) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	renewal := func() dialect.Renewal {
		row := s.get(r.Key)
		if row.TTL != long || row.RenewedAt.IsZero() {
			s.Fatalf("the row is %+v, want its lease's last renewal, and its TTL of %s", row, long)
		}
		return dialect.Renewal{LeaseID: row.LeaseID, RenewedAt: row.RenewedAt, TTL: row.TTL}
	}
	first := renewal()
	time.Sleep(2 * tick)
	s.renew(r.LeaseID)
	second := renewal()
	if !second.RenewedAt.After(first.RenewedAt) {
		s.Errorf("renewed at %s, and then at %s", first.RenewedAt, second.RenewedAt)
	}
	gone := dialect.Renewal{LeaseID: unique("never there"), RenewedAt: second.RenewedAt}
	got := ask(s, s.d.ExpireUnrenewed, first, gone)
	if got[0].Dead || got[0].Remaining <= 0 || got[1] != (dialect.Expiry{Dead: true}) {
		s.Errorf("a lease that was renewed since, and one that isn't there: %+v", got)
	}
	if !s.renew(r.LeaseID) {
		s.Fatal("a lease that was renewed in time was ended")
	}
	last, sent := renewal(), time.Now()
	got = ask(s, s.d.ExpireUnrenewed, gone, last)
	if !got[1].Dead || got[1].ExpiredFor < 0 || got[1].ExpiredFor > time.Since(sent)+slack {
		s.Errorf("a lease that wasn't renewed: %+v", got)
	}
	if s.renew(r.LeaseID) {
		s.Error("a lease that was ended was renewed")
	}
	time.Sleep(2 * slack)
	if b := s.expire(r.LeaseID); !b.Dead || b.ExpiredFor < slack || b.ExpiredFor > time.Since(sent)+slack {
		s.Errorf("asked again: %+v", b)
	}
	if row := s.get(r.Key); row.Lease != dialect.LeaseGone {
		s.Errorf("the row is %+v, want its lease gone", row)
	}
	if !s.free(deadHolder(r, fence)) {
		s.Error("Free refused")
	}
	s.take(request(r.Name, s.lease(long)))
}

// overlong checks leases whose remaining time exceeds their TTL, as after the clock was set back.
func overlong(s *suite) {
	of := func() (ids []string) {
		found, err := s.d.OverlongLeases(s.ctx, 10)
		s.must(err)
		for _, r := range found {
			if r.TTL != time.Second || r.RenewedAt.IsZero() {
				s.Errorf("found %+v", r)
			}
			ids = append(ids, r.LeaseID)
		}
		return ids
	}
	normal, ahead := s.lease(long), s.lease(long)
	over := s.lease(time.Millisecond)
	s.waitExpired(over)
	if got := of(); len(got) > 0 {
		s.Errorf("%q are overlong, but none should be", got)
	}
	for _, id := range []string{ahead, dialect.EndedPrefix + over} {
		s.exec(fmt.Sprintf("UPDATE sqllock_leases SET ttl = 1000000 WHERE id = '%s'", id))
	}
	if got := of(); !slices.Equal(got, []string{ahead}) {
		s.Errorf("%q are overlong, want %q", got, ahead)
	}
	if found, err := s.d.OverlongLeases(s.ctx, 0); err != nil || len(found) != 0 {
		s.Errorf("with limit 0: %+v, %v", found, err)
	}
	s.renew(ahead)
	s.renew(normal)
}
