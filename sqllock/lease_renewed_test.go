package sqllock

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/clock"
)

// A lease that was seen to be over isn't revived by a late reply to a heartbeat: others have acted
// on its end.
func TestLeaseIsNotRevived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lease{leaseKey: leaseKey{ttl: time.Second}, validity: clock.Validity{Sent: clock.Now(), TTL: time.Second}}
		time.Sleep(500 * time.Millisecond)
		sent := clock.Now()
		l.renewed(sent)
		if l.remaining() < 500*time.Millisecond {
			t.Errorf("renewed in time, it has %s left", l.remaining())
		}
		time.Sleep(2 * time.Second)
		l.renewed(clock.Now())
		if l.remaining() > 0 {
			t.Errorf("it was over, and has %s left", l.remaining())
		}
	})
}
