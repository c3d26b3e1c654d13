package clock

import (
	"testing"
	"time"
)

// The shortest and the longest TTL that sqllock accepts.
const (
	minTTL = 100 * time.Millisecond
	maxTTL = 24 * time.Hour
)

func at(mono, boot time.Duration) Instant {
	return Instant{mono: time.Unix(1000, 0).Add(mono), ahead: boot - mono}
}

func TestValidityEndsBeforeTheLease(t *testing.T) {
	for _, ttl := range []time.Duration{minTTL, time.Second, 15 * time.Second, time.Hour, maxTTL} {
		tr := Validity{Sent: at(0, 0), TTL: ttl}
		if got := tr.Remaining(at(0, 0)); got <= 2*HeartbeatInterval(ttl) || got >= ttl {
			t.Errorf("TTL %s: fresh validity is %s; want more than two heartbeats and less than the ttl", ttl, got)
		}
		if got := tr.Remaining(at(ttl-ttl/1000, 0)); got > 0 {
			t.Errorf("TTL %s: trusted for another %s a thousandth before its end", ttl, got)
		}
	}
}

func TestValidityBelievesTheClockThatSaysMore(t *testing.T) {
	tr := Validity{Sent: at(0, 0), TTL: 10 * time.Second}
	suspended := at(time.Second, 20*time.Second) // a second of running, twenty with the lid closed
	if got := tr.Remaining(suspended); got > 0 {
		t.Errorf("after a suspend of 19 s a TTL of 10 s is trusted for another %s", got)
	}
	noBootClock := at(20*time.Second, 0)
	if got := tr.Remaining(noBootClock); got > 0 {
		t.Errorf("without a boot clock a TTL of 10 s is trusted for another %s after 20 s", got)
	}
}

func TestValidityDoesNotShrinkByALateAnswer(t *testing.T) {
	tr := Validity{Sent: at(0, 0), TTL: 10 * time.Second}.Renewed(at(5*time.Second, 0))
	if again := tr.Renewed(at(3*time.Second, 0)); again != tr {
		t.Errorf("an answer to an earlier heartbeat changed the validity from %v to %v", tr, again)
	}
}

// FuzzValidity checks what must be true of every lease at every moment.
func FuzzValidity(f *testing.F) {
	f.Add(int64(time.Second), int64(0), int64(0), int64(time.Minute))
	f.Fuzz(func(t *testing.T, ttl, mono, boot, renewed int64) {
		tr := Validity{Sent: at(0, 0), TTL: minTTL + time.Duration(uint64(ttl)%uint64(maxTTL-minTTL))}
		clip := func(d int64) time.Duration { return time.Duration(uint64(d) % uint64(2*maxTTL)) }
		n := at(clip(mono), clip(boot))
		if left := tr.Remaining(n); left > 0 && max(clip(mono), clip(boot)) >= tr.TTL {
			t.Errorf("TTL %s is trusted for %s at %v", tr.TTL, left, n)
		}
		if lasts := tr.Lasts(n); lasts <= tr.Remaining(n) || max(clip(mono), clip(boot))+lasts > tr.TTL {
			t.Errorf("TTL %s lasts for %s at %v, and is trusted for %s", tr.TTL, lasts, n, tr.Remaining(n))
		}
		later := tr.Renewed(at(clip(renewed), clip(renewed)))
		if later.Remaining(n) < tr.Remaining(n) {
			t.Errorf("a renewal at %s shortened the validity from %s to %s",
				clip(renewed), tr.Remaining(n), later.Remaining(n))
		}
	})
}
