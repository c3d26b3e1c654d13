package quorum_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A silent database is not waited for while the caller holds votes that others may want, and it is
// asked only now and then.
func TestQuorumSilent(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, _ := c.grown()
		c.dbs[2].Delay(sqllocktest.Any, time.Hour)
		c.release(c.take(a))
		time.Sleep(quorumTTL) // it hasn't answered by now
		c.dbs[0].Wipe()       // and this one's vote doesn't count
		asked, began := c.dbs[2].Calls(sqllocktest.OpGet), time.Now()
		for range 10 {
			if err := c.refused(a); err == nil {
				t.Error("no error")
			}
			synctest.Wait()
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("ten tries took %s", took)
		}
		if n := c.dbs[2].Calls(sqllocktest.OpGet) - asked; n > 1 {
			t.Errorf("it was asked %d times", n)
		}
		c.up()
		time.Sleep(quorumMax)
		c.down(0)
		c.release(c.take(a)) // it is asked again
		c.up()
	})
}

// If the lock isn't granted, a vote whose row already has the fence is released too.
func TestQuorumReleasesRaisedVote(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		for _, db := range c.dbs[1:] {
			db.Delay(sqllocktest.OpAdvanceFence, quorumTTL)
		}
		if err := c.refused(a); err == nil {
			t.Error("no error")
		}
		for _, db := range c.dbs[1:] {
			db.Delay(sqllocktest.OpAdvanceFence, 0)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := c.votes(); n != 0 {
			t.Errorf("%d votes are left", n)
		}
		c.release(c.take(b))
	})
}

// The fence is the greatest of a majority's, whichever database answers first.
func TestQuorumFenceIsTheGreatest(t *testing.T) {
	for first := range 2 {
		quorums(t, 3, func(t *testing.T, c *cluster) {
			c.dbs[1].Advance(time.Hour)
			a, b := c.grown()
			c.down(2)
			c.dbs[1-first].Delay(sqllocktest.OpAcquire, time.Millisecond) // the other one answers first
			l := c.take(a)
			if l.Fence() < time.Now().Add(time.Hour-time.Minute).UnixMicro() {
				t.Errorf("fence %d is behind the clock of database 2", l.Fence())
			}
			c.release(l)
			c.dbs[1-first].Delay(sqllocktest.OpAcquire, 0)
			time.Sleep(quorumTTL)
			c.up()
			c.down(1)
			time.Sleep(quorumTTL)
			next := c.waitFor(b)
			if next.Fence() <= l.Fence() {
				t.Errorf("fence %d after %d", next.Fence(), l.Fence())
			}
			c.release(next)
			c.up()
		})
	}
}
