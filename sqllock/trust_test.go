package sqllock

import (
	"testing"
	"time"
)

func at(mono, boot time.Duration) moment {
	return moment{mono: time.Unix(1000, 0).Add(mono), boot: boot}
}

func TestTrustEndsBeforeTheLease(t *testing.T) {
	for _, ttl := range []time.Duration{MinTTL, time.Second, DefaultTTL, time.Hour, MaxTTL} {
		tr := trust{sent: at(0, 0), ttl: ttl}
		if got := tr.left(at(0, 0)); got <= 2*beatEvery(ttl) || got >= ttl {
			t.Errorf("TTL %s: fresh trust is %s; want more than two heartbeats and less than the TTL", ttl, got)
		}
		if got := tr.left(at(ttl-ttl/1000, 0)); got > 0 {
			t.Errorf("TTL %s: trusted for another %s a thousandth before its end", ttl, got)
		}
	}
}

func TestTrustBelievesTheClockThatSaysMore(t *testing.T) {
	tr := trust{sent: at(0, 0), ttl: 10 * time.Second}
	suspended := at(time.Second, 20*time.Second) // a second of running, twenty with the lid closed
	if got := tr.left(suspended); got > 0 {
		t.Errorf("after a suspend of 19 s a TTL of 10 s is trusted for another %s", got)
	}
	noBootClock := at(20*time.Second, 0)
	if got := tr.left(noBootClock); got > 0 {
		t.Errorf("without a boot clock a TTL of 10 s is trusted for another %s after 20 s", got)
	}
}

func TestTrustDoesNotShrinkByALateAnswer(t *testing.T) {
	tr := trust{sent: at(0, 0), ttl: 10 * time.Second}.renewed(at(5*time.Second, 0))
	if again := tr.renewed(at(3*time.Second, 0)); again != tr {
		t.Errorf("an answer to an earlier heartbeat changed the trust from %v to %v", tr, again)
	}
}

// FuzzTrust checks what must hold of every lease at every moment.
func FuzzTrust(f *testing.F) {
	f.Add(int64(time.Second), int64(0), int64(0), int64(time.Minute))
	f.Fuzz(func(t *testing.T, ttl, mono, boot, renewed int64) {
		tr := trust{sent: at(0, 0), ttl: MinTTL + time.Duration(uint64(ttl)%uint64(MaxTTL-MinTTL))}
		clip := func(d int64) time.Duration { return time.Duration(uint64(d) % uint64(2*MaxTTL)) }
		n := at(clip(mono), clip(boot))
		if left := tr.left(n); left > 0 && max(clip(mono), clip(boot)) >= tr.ttl {
			t.Errorf("TTL %s is trusted for %s at %v", tr.ttl, left, n)
		}
		later := tr.renewed(at(clip(renewed), clip(renewed)))
		if later.left(n) < tr.left(n) {
			t.Errorf("a renewal at %s shortened the trust from %s to %s", clip(renewed), tr.left(n), later.left(n))
		}
	})
}
