package dialecttest

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
)

// purgeOutcomes checks that only outcomes that are no longer kept are purged.
func purgeOutcomes(s *suite) {
	kept, later := done(unique("kept")), done(unique("later"))
	s.remember(kept)
	var old []dialect.Done
	for range 5 {
		d := done(unique("old"))
		d.Keep = brief
		s.remember(d)
		old = append(old, d)
	}
	s.eventually("forgotten", func() bool { return !s.recall(old[4].Name).Kept })
	if n := s.purgeOutcomes(0); n != 0 {
		s.Errorf("PurgeOutcomes with limit 0 returned %d", n)
	}
	for _, want := range []int{2, 2, 1, 0} {
		if n := s.purgeOutcomes(2); n != want {
			s.Errorf("PurgeOutcomes of at most 2 returned %d, want %d", n, want)
		}
	}
	s.remembered(kept)
	later.Keep = short
	s.remember(later)
	s.eventually("purged when its time has come", func() bool { return s.purgeOutcomes(10) == 1 })
	s.forgotten(later.Name)
	s.remembered(kept)
	if s.DB != nil && !s.SingleWriter {
		s.run("passes over", purgePassesOver)
	}
}

// purgePassesOver checks that an expired outcome that a transaction has claimed isn't waited for,
// and stays.
func purgePassesOver(s *suite) {
	busy, free := done(unique("busy")), done(unique("free"))
	busy.Keep, free.Keep = brief, brief
	ask(s, s.d.Remember, busy, free)
	s.eventually("forgotten", func() bool { return !s.recall(busy.Name).Kept && !s.recall(free.Name).Kept })
	tx := s.begin(0)
	s.claims(tx, busy.Name)
	s.quickly("PurgeOutcomes", func(s *suite) {
		if n := s.purgeOutcomes(100); n != 1 {
			s.Errorf("%d outcomes purged, want the one that isn't locked", n)
		}
	})
	busy.Keep = long
	s.is(s.rememberTx(tx, busy), busy)
	s.must(tx.Commit())
	s.remembered(busy)
}

func (s *suite) purgeOutcomes(limit int) int {
	s.Helper()
	n, err := retryTransient(s, func(ctx context.Context) (int, error) { return s.d.PurgeOutcomes(ctx, limit) })
	s.must(err)
	return n
}
