package integration

import (
	"context"
	"io"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// faultDialect is a dialect that runs a test's code around every statement of a Client: to count
// it, hold it back, or cut its reply. around must call do once. Guard, ClaimTx and RememberTx do
// not go through around, since they run in the application's own transaction.
type faultDialect struct {
	dialect.Dialect
	around func(operation string, do func())
}

// newFaultDialect returns a faultDialect that also has the optional interfaces of d.
func newFaultDialect(d dialect.Dialect, around func(operation string, do func())) dialect.Dialect {
	t := &faultDialect{Dialect: d, around: around}
	sessions, _ := d.(dialect.SessionLocker)
	txs, _ := d.(dialect.TxLocker)
	notifier, _ := d.(dialect.Notifier)
	switch {
	case sessions == nil:
		return struct {
			*faultDialect
			dialect.TxLocker
		}{t, txs}
	case notifier == nil:
		return struct {
			*faultDialect
			dialect.SessionLocker
			dialect.TxLocker
		}{t, sessions, txs}
	}
	return struct {
		*faultDialect
		dialect.SessionLocker
		dialect.TxLocker
		dialect.Notifier
	}{t, sessions, txs, notifier}
}

// through runs f inside around, and returns its results.
func through[T any](d *faultDialect, operation string, f func() (T, error)) (result T, err error) {
	d.around(operation, func() { result, err = f() })
	return result, err
}

// Reconnect calls that of the dialect below, if it has one.
func (d *faultDialect) Reconnect(ctx context.Context) error {
	if r, ok := d.Dialect.(dialect.Reconnecter); ok {
		return r.Reconnect(ctx)
	}
	return nil
}

func (d *faultDialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	return through(d, "acquire", func() ([]dialect.Grant, error) { return d.Dialect.Acquire(ctx, requests) })
}

func (d *faultDialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return through(d, "release", func() ([]bool, error) { return d.Dialect.Release(ctx, claims) })
}

func (d *faultDialect) AdvanceFence(ctx context.Context, advances []dialect.FenceAdvance) ([]bool, error) {
	return through(d, "advance", func() ([]bool, error) { return d.Dialect.AdvanceFence(ctx, advances) })
}

func (d *faultDialect) Free(ctx context.Context, dead []dialect.DeadHolder) ([]bool, error) {
	return through(d, "free", func() ([]bool, error) { return d.Dialect.Free(ctx, dead) })
}

func (d *faultDialect) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return through(d, "get", func() ([]dialect.Row, error) { return d.Dialect.Get(ctx, keys) })
}

func (d *faultDialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	return through(d, "list", func() ([]dialect.Row, error) { return d.Dialect.List(ctx, after, heldOnly, limit) })
}

func (d *faultDialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	return through(d, "purge", func() (int, error) { return d.Dialect.Purge(ctx, idle, limit) })
}

func (d *faultDialect) CreateLease(ctx context.Context, lease dialect.Lease) error {
	_, err := through(d, "create", func() (any, error) { return nil, d.Dialect.CreateLease(ctx, lease) })
	return err
}

func (d *faultDialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return through(d, "renew", func() ([]bool, error) { return d.Dialect.RenewLeases(ctx, ids) })
}

func (d *faultDialect) ExpireLeases(ctx context.Context, ids []string) ([]dialect.Expiry, error) {
	return through(d, "expire", func() ([]dialect.Expiry, error) { return d.Dialect.ExpireLeases(ctx, ids) })
}

func (d *faultDialect) DeleteExpired(ctx context.Context, ago time.Duration, limit int) (int, error) {
	return through(d, "expire", func() (int, error) { return d.Dialect.DeleteExpired(ctx, ago, limit) })
}

func (d *faultDialect) ExpireUnrenewed(ctx context.Context, renewals []dialect.Renewal) ([]dialect.Expiry, error) {
	return through(d, "expire", func() ([]dialect.Expiry, error) { return d.Dialect.ExpireUnrenewed(ctx, renewals) })
}

func (d *faultDialect) OverlongLeases(ctx context.Context, limit int) ([]dialect.Renewal, error) {
	return through(d, "list", func() ([]dialect.Renewal, error) { return d.Dialect.OverlongLeases(ctx, limit) })
}

func (d *faultDialect) EndBars(ctx context.Context, bars []dialect.Bar) ([]bool, error) {
	return through(d, "free", func() ([]bool, error) { return d.Dialect.EndBars(ctx, bars) })
}

func (d *faultDialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := through(d, "delete", func() (any, error) { return nil, d.Dialect.DeleteLeases(ctx, ids) })
	return err
}

func (d *faultDialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	return through(d, "enqueue", func() ([]dialect.QueuePosition, error) { return d.Dialect.Enqueue(ctx, waiters) })
}

func (d *faultDialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return through(d, "dequeue", func() ([]bool, error) { return d.Dialect.Dequeue(ctx, claims) })
}

func (d *faultDialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return through(d, "queue", func() ([]dialect.Waiting, error) { return d.Dialect.Queue(ctx, key, limit) })
}

func (d *faultDialect) ListWaiters(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	return through(d, "waiters", func() ([]dialect.Waiting, error) { return d.Dialect.ListWaiters(ctx, after, limit) })
}

func (d *faultDialect) WaitingHolders(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	return through(d, "waiting", func() ([]dialect.Waiting, error) {
		return d.Dialect.WaitingHolders(ctx, after, limit)
	})
}

func (d *faultDialect) Transfer(ctx context.Context, transfers []dialect.Transfer) ([]dialect.Grant, error) {
	return through(d, "transfer", func() ([]dialect.Grant, error) { return d.Dialect.Transfer(ctx, transfers) })
}

func (d *faultDialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	return through(d, "purge", func() (int, error) { return d.Dialect.PurgeWaiters(ctx, limit) })
}

func (d *faultDialect) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return through(d, "recall", func() ([]dialect.Outcome, error) { return d.Dialect.Recall(ctx, names) })
}

func (d *faultDialect) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	return through(d, "remember", func() ([]dialect.Outcome, error) { return d.Dialect.Remember(ctx, done) })
}

func (d *faultDialect) Break(ctx context.Context, breaks []dialect.Break) ([]bool, error) {
	return through(d, "break", func() ([]bool, error) { return d.Dialect.Break(ctx, breaks) })
}

func (d *faultDialect) ListBreaks(ctx context.Context, name string, limit int) ([]dialect.Broken, error) {
	return through(d, "list", func() ([]dialect.Broken, error) { return d.Dialect.ListBreaks(ctx, name, limit) })
}

func (d *faultDialect) PurgeBreaks(ctx context.Context, ago time.Duration, limit int) (int, error) {
	return through(d, "purge", func() (int, error) { return d.Dialect.PurgeBreaks(ctx, ago, limit) })
}

func (d *faultDialect) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	return through(d, "purge", func() (int, error) { return d.Dialect.PurgeOutcomes(ctx, limit) })
}

// Close closes the dialect if it is an [io.Closer].
func (d *faultDialect) Close() error {
	if closer, ok := d.Dialect.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
