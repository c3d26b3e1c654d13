package integration

import (
	"context"
	"io"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// tap is a dialect that lets a test stand around every statement of a Client: to count it, hold it back, or cut its
// reply. around must call do once. Guard, ClaimTx and SettleTx aren't tapped: they run in the application's own transaction.
type tap struct {
	dialect.Dialect
	around func(operation string, do func())
}

// tapped is a tap that has the engine's other powers too.
func tapped(d dialect.Dialect, around func(operation string, do func())) dialect.Dialect {
	t := &tap{Dialect: d, around: around}
	sessions, _ := d.(dialect.SessionLocker)
	txs, _ := d.(dialect.TxLocker)
	wakes, _ := d.(dialect.Waker)
	switch {
	case sessions == nil:
		return struct {
			*tap
			dialect.TxLocker
		}{t, txs}
	case wakes == nil:
		return struct {
			*tap
			dialect.SessionLocker
			dialect.TxLocker
		}{t, sessions, txs}
	}
	return struct {
		*tap
		dialect.SessionLocker
		dialect.TxLocker
		dialect.Waker
	}{t, sessions, txs, wakes}
}

// through runs f as around wants it.
func through[T any](d *tap, operation string, f func() (T, error)) (answer T, err error) {
	d.around(operation, func() { answer, err = f() })
	return answer, err
}

func (d *tap) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	return through(d, "acquire", func() ([]dialect.Grant, error) { return d.Dialect.Acquire(ctx, requests) })
}

func (d *tap) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return through(d, "release", func() ([]bool, error) { return d.Dialect.Release(ctx, claims) })
}

func (d *tap) Raise(ctx context.Context, raises []dialect.Raise) ([]bool, error) {
	return through(d, "raise", func() ([]bool, error) { return d.Dialect.Raise(ctx, raises) })
}

func (d *tap) Free(ctx context.Context, orphans []dialect.Orphan) ([]bool, error) {
	return through(d, "free", func() ([]bool, error) { return d.Dialect.Free(ctx, orphans) })
}

func (d *tap) Look(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return through(d, "look", func() ([]dialect.Row, error) { return d.Dialect.Look(ctx, keys) })
}

func (d *tap) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	return through(d, "list", func() ([]dialect.Row, error) { return d.Dialect.List(ctx, after, heldOnly, limit) })
}

func (d *tap) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	return through(d, "purge", func() (int, error) { return d.Dialect.Purge(ctx, idle, limit) })
}

func (d *tap) CreateLease(ctx context.Context, lease dialect.Lease) error {
	_, err := through(d, "create", func() (any, error) { return nil, d.Dialect.CreateLease(ctx, lease) })
	return err
}

func (d *tap) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return through(d, "renew", func() ([]bool, error) { return d.Dialect.RenewLeases(ctx, ids) })
}

func (d *tap) BuryLeases(ctx context.Context, ids []string) ([]dialect.Burial, error) {
	return through(d, "bury", func() ([]dialect.Burial, error) { return d.Dialect.BuryLeases(ctx, ids) })
}

func (d *tap) BuryExpired(ctx context.Context, limit int) (int, error) {
	return through(d, "bury", func() (int, error) { return d.Dialect.BuryExpired(ctx, limit) })
}

func (d *tap) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := through(d, "delete", func() (any, error) { return nil, d.Dialect.DeleteLeases(ctx, ids) })
	return err
}

func (d *tap) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.Place, error) {
	return through(d, "enqueue", func() ([]dialect.Place, error) { return d.Dialect.Enqueue(ctx, waiters) })
}

func (d *tap) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return through(d, "dequeue", func() ([]bool, error) { return d.Dialect.Dequeue(ctx, claims) })
}

func (d *tap) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return through(d, "queue", func() ([]dialect.Waiting, error) { return d.Dialect.Queue(ctx, key, limit) })
}

func (d *tap) Holding(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	return through(d, "holding", func() ([]dialect.Waiting, error) { return d.Dialect.Holding(ctx, after, limit) })
}

func (d *tap) Pass(ctx context.Context, passes []dialect.Pass) ([]dialect.Grant, error) {
	return through(d, "pass", func() ([]dialect.Grant, error) { return d.Dialect.Pass(ctx, passes) })
}

func (d *tap) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	return through(d, "purge", func() (int, error) { return d.Dialect.PurgeWaiters(ctx, limit) })
}

func (d *tap) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	return through(d, "recall", func() ([]dialect.Outcome, error) { return d.Dialect.Recall(ctx, names) })
}

func (d *tap) Remember(ctx context.Context, done []dialect.Done) ([]dialect.Outcome, error) {
	return through(d, "remember", func() ([]dialect.Outcome, error) { return d.Dialect.Remember(ctx, done) })
}

func (d *tap) PurgeOutcomes(ctx context.Context, limit int) (int, error) {
	return through(d, "purge", func() (int, error) { return d.Dialect.PurgeOutcomes(ctx, limit) })
}

// Close closes the dialect if it keeps something open.
func (d *tap) Close() error {
	if closer, ok := d.Dialect.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
