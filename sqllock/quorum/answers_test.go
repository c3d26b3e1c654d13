package quorum_test

import (
	"context"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A database that was silent for a moment takes part again, although another one of a minority
// refuses at once.
func TestQuorumAnswersAgain(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, _ := c.grown()
		for _, db := range c.dbs {
			db.Delay(sqllocktest.Any, 10*time.Millisecond)
		}
		c.dbs[0].Wipe() // the only one that is down: its votes don't count for quorumMax
		wiped := time.Now()
		c.release(c.take(a))
		c.dbs[2].Delay(sqllocktest.Any, time.Second) // a hiccup
		_ = c.refused(a)
		// The hiccup is over, and it is a little slower than the others.
		c.dbs[2].Delay(sqllocktest.Any, 30*time.Millisecond)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l, err := a.Acquire(ctx, "x")
		if took := time.Since(wiped); err != nil || took >= quorumMax {
			t.Errorf("two of three are up, and it took %s: %v", took, err)
		}
		c.release(l)
		time.Sleep(time.Minute)
	})
}
