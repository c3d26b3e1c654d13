package sqllock

import (
	"testing"
	"testing/synctest"
	"time"
)

// A lease that was seen to be over isn't revived by a heartbeat's late answer: others have acted on its end.
func TestLeaseIsNotRevived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lease{term: term{ttl: time.Second}, trust: trust{sent: now(), ttl: time.Second}}
		time.Sleep(500 * time.Millisecond)
		sent := now()
		l.renewed(sent)
		if l.left() < 500*time.Millisecond {
			t.Errorf("renewed in time, it has %s left", l.left())
		}
		time.Sleep(2 * time.Second)
		l.renewed(now())
		if l.left() > 0 {
			t.Errorf("it was over, and has %s left", l.left())
		}
	})
}
