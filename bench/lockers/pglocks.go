package lockers

import (
	"context"
	"database/sql"
	"errors"

	cirello "cirello.io/pglock"
	gopglock "github.com/allisson/go-pglock/v3"

	"github.com/sqllock/sqllock/dialect/postgres"
)

// goPglock is github.com/allisson/go-pglock: advisory locks, with one connection per lock.
type goPglock struct{ db *sql.DB }

func openGoPglock(ctx context.Context, c Config) (Locker, error) {
	db, err := postgres.Open(c.URL)
	if err != nil {
		return nil, err
	}
	pool(db, c.Conns)
	return goPglock{db}, db.PingContext(ctx)
}

func (l goPglock) Lock(ctx context.Context, name string) (Unlock, error) {
	lock, err := gopglock.NewLock(ctx, key(name), l.db)
	if err != nil {
		return nil, err
	}
	if err := lock.WaitAndLock(ctx); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return func(ctx context.Context) error { return errors.Join(lock.Unlock(ctx), lock.Close()) }, nil
}

func (l goPglock) Close() error { return l.db.Close() }

// cirelloPglock is cirello.io/pglock: one row and one heartbeat per lock. It requires lib/pq.
type cirelloPglock struct {
	db     *sql.DB
	client *cirello.Client
}

func prepareCirello(_ context.Context, url string) error {
	l, err := newCirello(Config{URL: url, TTL: cirello.DefaultLeaseDuration, Conns: 1})
	if err != nil {
		return err
	}
	return errors.Join(l.client.TryCreateTable(), l.Close())
}

func openCirello(ctx context.Context, c Config) (Locker, error) {
	l, err := newCirello(c)
	if err != nil {
		return nil, err
	}
	return l, l.db.PingContext(ctx)
}

func newCirello(c Config) (*cirelloPglock, error) {
	db, err := sql.Open("postgres", c.URL)
	if err != nil {
		return nil, err
	}
	pool(db, c.Conns)
	client, err := cirello.New(db, cirello.WithLeaseDuration(c.TTL), cirello.WithHeartbeatFrequency(c.TTL/3),
		cirello.WithCustomTable("bench_pglock"))
	return &cirelloPglock{db, client}, err
}

func (l *cirelloPglock) Lock(ctx context.Context, name string) (Unlock, error) {
	lock, err := l.client.AcquireContext(context.WithoutCancel(ctx), name) // its heartbeats end with this ctx
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return l.client.ReleaseContext(ctx, lock) }, nil
}

func (l *cirelloPglock) Close() error { return l.db.Close() }
