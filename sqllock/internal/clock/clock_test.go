package clock

import (
	"testing"
	"time"
)

// A machine that is suspended is seen within lookEvery of running time, and at once by Exactly.
func TestNowLooksFromTimeToTime(t *testing.T) {
	before := Exactly()
	forgot := before.Add(0)
	forgot.ahead -= time.Hour
	lastLook.Store(&Instant{time.Now(), forgot.ahead}) // as if the machine had been suspended since that look
	if slept := Exactly().Since(forgot); slept < time.Hour {
		t.Errorf("Exactly sees a suspend of an hour as %s", slept)
	}
	lastLook.Store(&Instant{time.Now().Add(-lookEvery), forgot.ahead})
	if slept := Now().Since(forgot); slept < time.Hour {
		t.Errorf("Now sees a suspend of an hour as %s after %s", slept, lookEvery)
	}
	if again := Now(); again.Since(before) < 0 || again.Since(before) > time.Minute {
		t.Errorf("%s passed since the test began", again.Since(before))
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}

func BenchmarkExactly(b *testing.B) {
	for b.Loop() {
		Exactly()
	}
}
