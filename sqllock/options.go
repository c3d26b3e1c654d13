package sqllock

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// Limits of names, durations and numbers. Durations are rounded up to whole microseconds.
const (
	MinTTL     = request.MinTTL // with a shorter TTL, an ordinary hiccup of the database loses the lock
	MaxTTL     = request.MaxTTL // with a longer TTL, a dead holder's lock is as good as stuck
	DefaultTTL = 15 * time.Second

	// MinKeepAlive is a second because the idle time-outs of some servers are whole seconds.
	MinKeepAlive = time.Second

	MaxHold = request.MaxHold // of HoldAtLeast, LockDelay and once.Keep

	MaxNameBytes = request.MaxNameBytes // of names, notes and holders

	MaxPermits = request.MaxPermits // of a semaphore; a caller that finds all of them held has read a row for each
)

// Options are the options of a [Client]. The zero value of each field is its default.
type Options struct {
	// TTL is the time to live of leases, unless an acquisition says otherwise ([WithTTL]): how long
	// after the death of this process its locks stay taken. It is from [MinTTL] to [MaxTTL]; the
	// default is [DefaultTTL], 15 seconds.
	TTL time.Duration

	// WithoutTables makes a [Client] for a database without sqllock's tables. Such a Client takes
	// session locks ([Client.Session]) and, on engines that need no table for them, transaction
	// locks ([Client.AcquireTx]); MySQL and MariaDB need one. Lease locks are refused with
	// [ErrUnsupported]. [New] tries out session locks instead of the tables.
	WithoutTables bool

	// Unprobed makes [New] skip its checks and not call the database, so that a [Client] can be
	// made for a database that can't be reached just now. A minority of the databases of a quorum
	// (package quorum) may be in that state. The first lease lock runs the checks instead.
	Unprobed bool

	// WaitForDatabase makes [New] wait, until its ctx ends, for a database that can't be reached,
	// is starting, or takes no writes yet. It is for services that start before their database
	// does. Without it, New returns such an error at once. In both cases New waits for a server
	// that has accepted the connection and hasn't answered yet, and returns every other error at
	// once. It excludes Unprobed.
	WaitForDatabase bool

	// ClockSkew is the greatest difference between the clocks of the servers that may serve this
	// database one after the other, or side by side: the members of a cluster, a primary and its
	// standbys. A server whose clock is ahead by that much ends leases that much earlier, so the
	// process gives up that much earlier too. A TTL must be longer by at least [MinTTL]. Without
	// ClockSkew, a tenth of the TTL, and at most a second, covers both the difference and the time
	// for acting. NTP keeps servers within milliseconds of each other. HoldAtLeast, LockDelay and
	// once.Keep may end early by the difference.
	ClockSkew time.Duration

	// KeepAlive is how long a session lock is trusted without a reply from its connection, from
	// [MinKeepAlive] to [MaxTTL]; after that, [SessionLock.Context] ends. The Client pings the
	// connection three times in each such period. If the server has a suitable setting, the server
	// closes a connection that has been silent for a little longer than KeepAlive. That frees the
	// locks of a holder that was frozen or cut off. The default is 15 seconds.
	KeepAlive time.Duration

	// PollOnly makes waiters poll even where the engine can notify them that they have the lock
	// (LISTEN/NOTIFY on PostgreSQL). That saves one connection per waiting process and is slower.
	PollOnly bool

	// Holder names this process to people who ask who holds a lock. The default is [DefaultHolder].
	Holder string

	// Logger receives failed heartbeats, lost locks and what the reaper did. The default is
	// [slog.Default].
	Logger *slog.Logger

	// Tracer is told what the Client does, for metrics and traces. It implements one or several of
	// [AcquireTracer], [WaitTracer], [HoldTracer], [HeartbeatTracer], [GuardTracer], [BreakTracer]
	// and [TermTracer]; one that implements none of them is an [ErrInvalid]. [Tracers] joins
	// several tracers. There are adapters for Prometheus and OpenTelemetry.
	Tracer any

	// ReapEvery is the interval of the background reaper, give or take a tenth ([Client.Reap]). The
	// default is a minute. A negative value turns the reaper off.
	ReapEvery time.Duration

	// PurgeAfter is how long a lock's row is kept after its release. The default is a day. It may
	// be short, because fences grow even after a row was purged, unless the database's clock is
	// then set back by more than PurgeAfter. A value of more than 50 years counts as 50 years.
	PurgeAfter time.Duration
}

// withDefaults returns a copy of o with the defaults filled in, or an [ErrInvalid]. o may be nil.
func (o *Options) withDefaults() (Options, error) {
	var full Options
	if o != nil {
		full = *o
	}
	if full.TTL == 0 {
		full.TTL = DefaultTTL
	}
	if full.KeepAlive == 0 {
		full.KeepAlive = DefaultTTL
	}
	if full.Holder == "" {
		full.Holder = DefaultHolder()
	}
	if full.Logger == nil {
		full.Logger = slog.Default()
	}
	if full.ReapEvery == 0 {
		full.ReapEvery = time.Minute
	}
	if full.PurgeAfter == 0 {
		full.PurgeAfter = 24 * time.Hour
	}
	if full.PurgeAfter < 0 {
		return full, fail.Invalid("PurgeAfter is %s; it must be positive", full.PurgeAfter)
	}
	// The longest durations would overflow and then mean "at once": barred rows, such as membership
	// rows, would be purged.
	full.PurgeAfter, full.ReapEvery = min(full.PurgeAfter, request.Forever), min(full.ReapEvery, request.Forever)
	if full.KeepAlive < MinKeepAlive || full.KeepAlive > MaxTTL {
		return full, fail.Invalid("KeepAlive is %s; it must be between %s and %s", full.KeepAlive, MinKeepAlive, MaxTTL)
	}
	if err := request.CheckTTL(full.TTL); err != nil {
		return full, err
	}
	if full.WaitForDatabase && full.Unprobed {
		return full, fail.Invalid("WaitForDatabase and Unprobed exclude each other: a Client that is made Unprobed " +
			"calls no database")
	}
	if full.ClockSkew < 0 {
		return full, fail.Invalid("ClockSkew is %s; it can't be negative", full.ClockSkew)
	}
	if full.TTL-full.ClockSkew < MinTTL {
		return full, skewed(full.TTL, full.ClockSkew)
	}
	return full, request.CheckText("holder", full.Holder, MaxNameBytes)
}

// skewed returns the error for a TTL of which servers whose clocks differ by skew leave too little.
func skewed(ttl, skew time.Duration) error {
	return fail.Invalid("the TTL is %s and ClockSkew is %s; the TTL must be at least %s, so that a process can "+
		"rely on its lease for %s", ttl, skew, skew+MinTTL, MinTTL)
}

// DefaultHolder returns the holder of a [Client] whose [Options] name none: program@host[pid].
func DefaultHolder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	holder := fmt.Sprintf("%s@%s[%d]", filepath.Base(os.Args[0]), host, os.Getpid())
	// An odd program or host name must not prevent locking.
	if request.CheckText("holder", holder, MaxNameBytes) != nil {
		holder = fmt.Sprintf("pid %d", os.Getpid())
	}
	return holder
}

// CheckName returns an [ErrInvalid] that says what is wrong if name can't be the name of a lock. A
// name has 1 to [MaxNameBytes] bytes of UTF-8, without control characters and without a space at
// either end. Names are compared byte for byte.
func CheckName(name string) error { return request.CheckText("name", name, MaxNameBytes) }
