package simulate

import (
	"slices"
	"testing"
	"time"
)

// shorten leaves out events for as long as the rest still breaks the same invariant. It removes
// halves first, then quarters and so on (delta debugging; Zeller and Hildebrandt, 2002).
func shorten(t *testing.T, s schedule, broken *violation, budget time.Duration) (schedule, *violation) {
	deadline := time.Now().Add(budget)
	for size := (len(s.events) + 1) / 2; size > 0; {
		removed := false
		for from := 0; from < len(s.events) && time.Now().Before(deadline); {
			shorter := s
			shorter.events = slices.Delete(slices.Clone(s.events), from, min(from+size, len(s.events)))
			if again := breaks(t, shorter, broken.invariant); again != nil {
				s, broken, removed = shorter, again, true
				continue
			}
			from += size
		}
		if !removed || size > len(s.events) {
			size /= 2
		}
	}
	return s, broken
}

// breaks runs a schedule and returns its violation, if it breaks that invariant. Without the
// overlay, the same schedule may run differently each time.
func breaks(t *testing.T, s schedule, invariant string) *violation {
	tries := 1
	if !seeded {
		tries = 5
	}
	for range tries {
		if _, broken := run(t, s); broken != nil && broken.invariant == invariant {
			return broken
		}
	}
	return nil
}
