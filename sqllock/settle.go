package sqllock

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// insist does f again and again until it is certain: it has succeeded, and late has passed, after which nothing that was sent
// before can still arrive; or the lease is over, and with it what was asked for under it.
func (l *lease) insist(late time.Duration, f func(ctx context.Context) error) {
	started := now()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := f(l.c.operation(context.Background()))
		if err == nil && now().since(started) >= late || l.left() <= 0 || !nap(l.c.open, jitter(pause)) {
			return
		}
	}
}

// settle releases the claim in the background: for what was granted to nobody, and for a request without an answer, which
// the server may carry out late, or twice.
func (a rowAnchor) settle(l *lease, claim dialect.Claim, late time.Duration) {
	a.c.spawn(func() {
		l.insist(late, func(ctx context.Context) error {
			ours, err := a.c.release(ctx, claim)
			if err == nil && ours {
				a.c.freed(l.place(claim.Key))
			}
			return err
		})
	})
}
