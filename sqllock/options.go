package sqllock

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what may be asked for. Durations are kept to the microsecond, rounded up.
const (
	MinTTL     = 100 * time.Millisecond // shorter, and an ordinary hiccup of the database loses the lock
	MaxTTL     = 24 * time.Hour         // longer, and a dead holder's lock is as good as stuck
	DefaultTTL = 15 * time.Second

	// The server's own idle time-outs are whole seconds on some engines, and a shorter one would outrun them.
	MinKeepAlive = time.Second

	MaxHold = 366 * 24 * time.Hour // of HoldAtLeast and LockDelay

	MaxNameBytes = 255 // of names, notes and holders

	MaxPermits = 10_000 // of a semaphore; who finds all of them held has read a row for each
)

// Options of a Client. The zero value of each field is its default.
type Options struct {
	// TTL of the leases whose acquisitions don't say otherwise (WithTTL): how long after the death of this process
	// its locks stay taken. Default 15 seconds.
	TTL time.Duration

	// WithoutTables is for databases that don't have sqllock's tables: the Client takes session locks, and transaction
	// locks where the engine needs no table for them (not on MySQL and MariaDB). Lease locks are refused, and New
	// tries out session locks instead of them.
	WithoutTables bool

	// Unprobed lets New make a Client of a database that can't be reached just now, as a minority of those of a Quorum may
	// be: New asks it nothing, and the first lock finds out what New would have.
	Unprobed bool

	// KeepAlive is how long a session lock (Session) is trusted without a sign of life from its connection, from
	// MinKeepAlive to MaxTTL: after that its Context ends. The connection is asked every third of it. Where the server
	// has such a setting, it ends a connection that it has heard nothing from for that long, and a little, and so
	// frees the locks of a holder that was frozen or cut off. Default 15 seconds.
	KeepAlive time.Duration

	// PollOnly lets those who wait for a lock poll, where the engine could tell them that they have it (LISTEN/NOTIFY on
	// PostgreSQL): without a connection more for each process that waits, and slower.
	PollOnly bool

	// Holder is how this process is shown to people who ask who holds a lock. Default: program@host[pid].
	Holder string

	// Logger gets failed heartbeats, lost locks and what the reaper did. Default slog.Default().
	Logger *slog.Logger

	// ReapEvery is the interval of the reaper in the background, give or take a tenth. Default a minute;
	// negative: none (call Reap).
	ReapEvery time.Duration

	// PurgeAfter is how long a lock's row is kept after its release. Default a day. It may be short: fences grow
	// even across the purge of a row. Fifty years and more are fifty years.
	PurgeAfter time.Duration
}

// withDefaults checks o and fills in what was left out; nil is fine.
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
		full.Holder = defaultHolder()
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
		return full, invalid("PurgeAfter is %s; it must be positive", full.PurgeAfter)
	}
	// The longest durations would overflow, and so mean at once: what is barred would be purged, and signs.
	full.PurgeAfter, full.ReapEvery = min(full.PurgeAfter, forever), min(full.ReapEvery, forever)
	if full.KeepAlive < MinKeepAlive || full.KeepAlive > MaxTTL {
		return full, invalid("KeepAlive is %s; it must be between %s and %s", full.KeepAlive, MinKeepAlive, MaxTTL)
	}
	if err := checkTTL(full.TTL); err != nil {
		return full, err
	}
	return full, checkText("holder", full.Holder)
}

func defaultHolder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	holder := fmt.Sprintf("%s@%s[%d]", filepath.Base(os.Args[0]), host, os.Getpid())
	if checkText("holder", holder) != nil { // a program or host with an odd name must not keep it from locking
		holder = fmt.Sprintf("pid %d", os.Getpid())
	}
	return holder
}

func checkTTL(ttl time.Duration) error {
	if ttl < MinTTL || ttl > MaxTTL {
		return invalid("the TTL is %s; it must be between %s and %s", ttl, MinTTL, MaxTTL)
	}
	return nil
}

// CheckName tells whether name can be a lock's: 1 to MaxNameBytes bytes of UTF-8 with no control character and
// no space at either end. Names are compared byte for byte. The error wraps ErrInvalid and says what is wrong.
func CheckName(name string) error { return checkText("name", name) }

// checkText is the rule for names, notes and holders: what every engine keeps unchanged, and compares alike.
func checkText(what, s string) error {
	switch {
	case s == "":
		return invalid("the %s is empty", what)
	case len(s) > MaxNameBytes:
		return invalid("the %s %.40q… is %d bytes long; at most %d are allowed", what, s, len(s), MaxNameBytes)
	case !utf8.ValidString(s):
		return invalid("the %s %q is not UTF-8", what, s)
	case strings.TrimFunc(s, unicode.IsSpace) != s:
		return invalid("the %s %q begins or ends with a space, which some databases ignore", what, s)
	case strings.ContainsFunc(s, unicode.IsControl):
		return invalid("the %s %q contains a control character", what, s)
	}
	return nil
}

// toMicros rounds d up to the microseconds that the databases keep.
func toMicros(d time.Duration) time.Duration {
	return (d + time.Microsecond - 1).Truncate(time.Microsecond)
}
