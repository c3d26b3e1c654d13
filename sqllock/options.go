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

	MaxHold = 366 * 24 * time.Hour // of HoldAtLeast and LockDelay

	MaxNameBytes = 255 // of names, notes and holders
)

// Options of a Client. The zero value of each field is its default.
type Options struct {
	// TTL of the leases whose acquisitions don't say otherwise (WithTTL): how long after the death of this process
	// its locks stay taken. Default 15 seconds.
	TTL time.Duration

	// Holder is how this process is shown to people who ask who holds a lock. Default: program@host[pid].
	Holder string

	// Logger gets failed heartbeats, lost locks and what the reaper did. Default slog.Default().
	Logger *slog.Logger

	// ReapEvery is the interval of the reaper in the background, give or take a tenth. Default a minute;
	// negative: none (call Reap).
	ReapEvery time.Duration

	// PurgeAfter is how long a lock's row is kept after its release. Default a day. It may be short: fences grow
	// even across the purge of a row.
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

// Option is a wish for one acquisition.
type Option func(*wish)

// wish is what one acquisition asks for.
type wish struct {
	name        string
	ttl         time.Duration
	note        string
	holdAtLeast time.Duration
	lockDelay   time.Duration
}

// WithTTL holds the lock under a lease of that TTL, from MinTTL to MaxTTL. The locks of one TTL share a heartbeat.
func WithTTL(ttl time.Duration) Option { return func(w *wish) { w.ttl = ttl } }

// WithNote says of the acquisition what people should see who ask about the lock: a build number, a URL.
func WithNote(note string) Option { return func(w *wish) { w.note = note } }

// HoldAtLeast keeps others from the lock for d from now, even if it is released before: for scheduled jobs, where
// a fast run on one host must not be run again by a host whose clock is a little behind.
func HoldAtLeast(d time.Duration) Option { return func(w *wish) { w.holdAtLeast = d } }

// LockDelay keeps others from the lock for d after its lease ran out, if it did; after a release it means nothing.
// It is for resources that can't check a fence: what the failed holder had under way gets time to end
// (Burrows, The Chubby lock service, 2006, section 2.4).
func LockDelay(d time.Duration) Option { return func(w *wish) { w.lockDelay = d } }

func (c *Client) wish(name string, opts []Option) (wish, error) {
	w := wish{name: name, ttl: c.opts.TTL}
	for i, opt := range opts {
		if opt == nil {
			return w, invalid("option %d of lock %q is nil", i+1, name)
		}
		opt(&w)
	}
	return w, w.check()
}

func (w wish) check() error {
	if err := CheckName(w.name); err != nil {
		return err
	}
	if err := checkTTL(w.ttl); err != nil {
		return err
	}
	if w.note != "" {
		if err := checkText("note", w.note); err != nil {
			return err
		}
	}
	if w.holdAtLeast < 0 || w.holdAtLeast > MaxHold {
		return invalid("HoldAtLeast(%s); it must be between 0 and %s", w.holdAtLeast, MaxHold)
	}
	if w.lockDelay < 0 || w.lockDelay > MaxHold {
		return invalid("LockDelay(%s); it must be between 0 and %s", w.lockDelay, MaxHold)
	}
	return nil
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
