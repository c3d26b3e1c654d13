package sqllock

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// settle releases the claim in the background, again and again until it is certain: for what was granted to
// nobody, and for a request without an answer, which the server may carry out late, or twice. It stops when the
// database has answered and late has passed, or when the lease is over, and with it the claim.
func (a rowAnchor) settle(l *lease, claim dialect.Claim, late time.Duration) {
	c, started := a.c, now()
	c.spawn(func() {
		for pause := firstPause; ; pause = min(2*pause, maxPause) {
			ctx, cancel := c.operation(context.Background(), patience)
			ours, err := c.release(ctx, claim)
			cancel()
			if err == nil && ours {
				c.freed(l.place(claim.Name))
			}
			if err == nil && now().since(started) >= late || l.left() <= 0 || !nap(c.open, jitter(pause)) {
				return
			}
		}
	})
}
