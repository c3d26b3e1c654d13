// Package lockers has the contenders of the benchmark: sqllock, and what a user would use instead.
// Each takes named locks in its own way. It is set up as its own documentation recommends, or as
// well as can be done by hand.
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
	// Lock waits for the lock until ctx ends. The lock is held until the Unlock.
	Lock(ctx context.Context, name string) (Unlock, error)

	// Close releases the Locker's resources. Its locks must have been unlocked.
	Close() error
}

// Unlock releases a lock.
type Unlock func(ctx context.Context) error

// Config is how a Locker is opened.
type Config struct {
	URL   string        // the server's URL, in the contender's syntax
	TTL   time.Duration // the TTL of leases; heartbeats, if any, are sent every third of it
	Conns int           // number of connections in the pool
	Keep  bool          // keep locks alive, if the contender leaves that to its caller
}

// Kind is a way of locking on one kind of server.
type Kind struct {
	Name   string // such as "sqllock"
	Server string // such as "postgres15"; "redis" and "redis-fsync" are one program in two configurations
	Waits  string // how it waits for a lock that is held
	Open   func(ctx context.Context, c Config) (Locker, error)

	// Prepare creates the tables, once, before the first Open. It is nil if there are none.
	Prepare func(ctx context.Context, url string) error

	// ConnEach reports whether each lock that is held or waited for occupies a connection.
	ConnEach bool

	// NoLocalWait is the reason why goroutines of one process can't wait for the same name.
	// NoHandOver is the reason why processes can't either. They are empty if waiting works.
	NoLocalWait, NoHandOver string

	// MeasureHeld reports whether the cost of many held locks is measured. It is not measured for a
	// contender that behaves like another one.
	MeasureHeld bool

	// BeatsEach reports whether each lock needs its own heartbeat.
	BeatsEach bool
}

// String returns the kind's unique name, such as "sqllock on postgres15".
func (k Kind) String() string { return k.Name + " on " + k.Server }

// Ours reports whether the contender is sqllock.
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

// Find returns the Kind whose String is name.
func Find(name string) (Kind, error) {
	for _, k := range All {
		if k.String() == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("there is no contender %q", name)
}

const sqllockName = "sqllock"

// pollEvery is the mean interval of contenders that poll; each interval varies by a half of it. It
// is the same as that of sqllock's first poll.
const pollEvery = 20 * time.Millisecond

var polls = "polls every " + pollEvery.String()

// poll calls try until it succeeds or ctx ends.
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

// key returns the key of an advisory lock for a name.
func key(name string) int64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return int64(h.Sum64()) //nolint:gosec // any 64 bits will do
}

// every calls beat at each third of the TTL until the caller calls stop.
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
