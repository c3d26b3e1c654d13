// Package lockers are the contenders of bench: sqllock, and what somebody would use instead. Each takes named locks in
// its own way, set up as its own documentation has it, or as well as can be done by hand.
package lockers

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Locker takes locks. Its methods are safe for concurrent use.
type Locker interface {
	// Lock waits for the lock until ctx ends, and keeps it until the Unlock.
	Lock(ctx context.Context, name string) (Unlock, error)

	// Close gives up what the Locker has open. Its locks were unlocked before.
	Close() error
}

// Unlock releases a lock.
type Unlock func(ctx context.Context) error

// Config is how a Locker is opened.
type Config struct {
	URL   string        // of the server, as the contender takes it
	TTL   time.Duration // of leases; heartbeats, where there are any, come every third of it
	Conns int           // in the pool
	Keep  bool          // keep locks alive, where that is the caller's own work
}

// Kind is a way of locking on one kind of server.
type Kind struct {
	Name   string // "sqllock"
	Server string // "postgres15"; "redis" and "redis-fsync" are the same program set up in two ways
	Waits  string // how it waits for a lock that is held
	Open   func(ctx context.Context, c Config) (Locker, error)

	// Prepare makes the tables, once, before the first Open. Nil: it needs none.
	Prepare func(ctx context.Context, url string) error

	// ConnEach: each lock that is held or waited for occupies a connection.
	ConnEach bool

	// Lonely says why goroutines of one process can't wait for the same name; Sluggish, why processes can't either.
	Lonely, Sluggish string

	// Keeps: it is asked what keeping many locks costs. Not all are, where one does as the other.
	Keeps bool

	// BeatsEach: it keeps its locks alive one by one.
	BeatsEach bool
}

// String names the kind among all others: "sqllock on postgres15".
func (k Kind) String() string { return k.Name + " on " + k.Server }

// Ours tells whether it is sqllock.
func (k Kind) Ours() bool { return k.Name == sqllockName }

// All are the contenders, in the order of the report.
var All = slices.Concat(
	onPostgres("postgres15"),
	onMySQL("mysql"),
	onMySQL("mariadb"),
	onSQLite("sqlite"),
	onRedis("redis"),
	onRedis("redis-fsync"),
	onEtcd("etcd"),
)

// Find is the kind of that String.
func Find(name string) (Kind, error) {
	for _, k := range All {
		if k.String() == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("there is no contender %q", name)
}

const sqllockName = "sqllock"

// pollEvery is how often those ask again who have to poll, give or take a half: as soon as sqllock's own first poll.
const pollEvery = 20 * time.Millisecond

var polls = "polls every " + pollEvery.String()

// poll tries until it succeeds or ctx ends.
func poll(ctx context.Context, try func() (bool, error)) error {
	for {
		if ok, err := try(); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery/2 + rand.N(pollEvery)):
		}
	}
}

// key is the name of an advisory lock.
func key(name string) int64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return int64(h.Sum64()) //nolint:gosec // any 64 bits do
}

// every runs beat at each third of the TTL until the answered function is called.
func every(ttl time.Duration, beat func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ticker := time.NewTicker(ttl / 3); ; {
			select {
			case <-ticker.C:
				beat(ctx)
			case <-ctx.Done():
				ticker.Stop()
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}
