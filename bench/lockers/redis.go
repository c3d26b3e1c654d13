package lockers

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

func onRedis(server string) []Kind {
	return []Kind{
		{
			Name: "redislock", Server: server, Waits: polls, Open: openRedislock,
			MeasureHeld: server == "redis", BeatsEach: true,
		},
		{Name: "redsync", Server: server, Waits: polls, Open: openRedsync},
	}
}

// redisClient returns a go-redis client with its default pool size. Only the pool timeout is
// longer, because with thousands of goroutines the wait for a connection would end in errors.
func redisClient(c Config) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(c.URL, "tcp://"), PoolTimeout: time.Minute})
}

// redisLock is github.com/bsm/redislock.
type redisLock struct {
	client *redis.Client
	locks  *redislock.Client
	ttl    time.Duration
	stop   func()

	mu   sync.Mutex
	held map[*redislock.Lock]struct{} // refreshed one by one, because redislock has no other way
}

func openRedislock(ctx context.Context, c Config) (Locker, error) {
	client := redisClient(c)
	l := &redisLock{
		client: client, locks: redislock.New(client), ttl: c.TTL, stop: func() {},
		held: make(map[*redislock.Lock]struct{}),
	}
	if c.Keep {
		l.stop = every(c.TTL, l.refresh)
	}
	return l, client.Ping(ctx).Err()
}

func (l *redisLock) refresh(ctx context.Context) {
	l.mu.Lock()
	locks := make([]*redislock.Lock, 0, len(l.held))
	for lock := range l.held {
		locks = append(locks, lock)
	}
	l.mu.Unlock()
	for _, lock := range locks {
		_ = lock.Refresh(ctx, l.ttl, nil) // a lost lock is reported by its release
	}
}

func (l *redisLock) Lock(ctx context.Context, name string) (Unlock, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour) // without a deadline Obtain waits only for the TTL
	defer cancel()
	lock, err := l.locks.Obtain(ctx, name, l.ttl, &redislock.Options{RetryStrategy: redislock.LinearBackoff(pollEvery)})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[lock] = struct{}{}
	return func(ctx context.Context) error {
		l.mu.Lock()
		delete(l.held, lock)
		l.mu.Unlock()
		return lock.Release(ctx)
	}, nil
}

func (l *redisLock) Close() error {
	l.stop()
	return l.client.Close()
}

// redSync is github.com/go-redsync/redsync on one Redis.
type redSync struct {
	client *redis.Client
	sync   *redsync.Redsync
	ttl    time.Duration
}

func openRedsync(ctx context.Context, c Config) (Locker, error) {
	client := redisClient(c)
	return redSync{client, redsync.New(goredis.NewPool(client)), c.TTL}, client.Ping(ctx).Err()
}

func (l redSync) Lock(ctx context.Context, name string) (Unlock, error) {
	const always = 1 << 30
	mutex := l.sync.NewMutex(name,
		redsync.WithExpiry(l.ttl), redsync.WithTries(always), redsync.WithRetryDelay(pollEvery))
	if err := mutex.LockContext(ctx); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		ok, err := mutex.UnlockContext(ctx)
		if err == nil && !ok {
			err = errors.New("redsync: the lock wasn't held")
		}
		return err
	}, nil
}

func (l redSync) Close() error { return l.client.Close() }
