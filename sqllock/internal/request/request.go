// Package request describes what an acquisition asks for: a lock's row and the options of its kind.
package request

import (
	"math/rand/v2"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
)

// Limits of names, durations and numbers. Package sqllock documents them.
const (
	MinTTL = 100 * time.Millisecond
	MaxTTL = 24 * time.Hour

	MaxHold = 366 * 24 * time.Hour

	MaxNameBytes = 255

	MaxPermits = 10_000

	MaxPriority = 1000
)

// Request is what one acquisition asks for. The method that the caller called decides its kind
// once; nothing below it reads options again.
type Request struct {
	Name    string
	Session bool // the server holds the lock for a connection, and the lock has no row
	Shared  bool
	Slot    int // of the row, as far as the kind alone determines it
	Permits int // of a semaphore: how many there are

	TTL         time.Duration // of the lease; for a session lock, how long its connection may be silent
	Note        string
	HoldAtLeast time.Duration
	LockDelay   time.Duration
	OnWait      func(held error) // gets a *sqllock.HeldError
	Fair        bool
	Priority    int    // of a candidate in an election
	OnQueued    func() // of a candidate in an election
	HandsTo     bool   // a request to hand over whose note names the holder that is to lead

	Held any   // the locks that the caller holds while it waits; nil if its ctx says which
	Err  error // what is wrong with an option that can't say so by its value
}

// Apply applies the options to r.
func Apply[O comparable](r *Request, opts []O, set func(O, *Request)) error {
	var none O
	for i, opt := range opts {
		if opt == none {
			return fail.Invalid("option %d of lock %q is nil", i+1, r.Name)
		}
		set(opt, r)
	}
	return nil
}

// IsPermit reports whether the request is for a permit of a semaphore.
func (r *Request) IsPermit() bool { return !r.Session && isPermit(r.Slot) }

// Reads reports whether the request is a reader's of an RWLock.
func (r *Request) Reads() bool { return r.Shared && !r.Session }

// Key returns the key of the row.
func (r *Request) Key() dialect.Key { return dialect.Key{Name: r.Name, Slot: r.Slot} }

// Queue returns the key of the database's queue for the request. All permits of a semaphore share a
// queue, and so do the readers and writers of a name.
func (r *Request) Queue() dialect.Key { return dialect.Key{Name: r.Name, Slot: QueueSlot(r.Slot)} }

// Matches reports whether a lock with that key satisfies the request.
func (r *Request) Matches(key dialect.Key) bool {
	switch {
	case r.IsPermit():
		return key.Name == r.Name && key.Slot >= SlotPermits && key.Slot < SlotPermits+r.Permits
	case r.Shared:
		return false
	}
	return key == r.Key()
}

// Polls reports whether the waiter can't be notified and has to poll, because the row that is free
// next may be another one than the row that it waits for.
func (r *Request) Polls() bool { return r.Session || r.IsPermit() || r.Shared }

// PickPermit chooses the row of one of the permits at random. If many are free, that one usually
// is.
func (r *Request) PickPermit() {
	if r.IsPermit() {
		r.Slot = SlotPermits + rand.N(r.Permits)
	}
}

// Check returns an error if the request breaks a rule.
func (r *Request) Check() error {
	if err := CheckText("name", r.Name, MaxNameBytes); err != nil {
		return err
	}
	if err := CheckTTL(r.TTL); err != nil {
		return err
	}
	if r.Note != "" {
		if err := CheckText("note", r.Note, MaxNameBytes); err != nil {
			return err
		}
	}
	if r.IsPermit() && (r.Permits < 1 || r.Permits > MaxPermits) {
		return fail.Invalid("semaphore %q has %d permits; it must have between 1 and %d", r.Name, r.Permits, MaxPermits)
	}
	if r.HoldAtLeast < 0 || r.HoldAtLeast > MaxHold {
		return fail.Invalid("HoldAtLeast(%s); it must be between 0 and %s", r.HoldAtLeast, MaxHold)
	}
	if r.Priority < -MaxPriority || r.Priority > MaxPriority {
		return fail.Invalid("Priority(%d) of election %q; it must be between %d and %d",
			r.Priority, r.Name, -MaxPriority, MaxPriority)
	}
	if r.LockDelay < 0 || r.LockDelay > MaxHold {
		return fail.Invalid("LockDelay(%s); it must be between 0 and %s", r.LockDelay, MaxHold)
	}
	return r.Err
}

// CheckTTL returns an error if the TTL is out of range.
func CheckTTL(ttl time.Duration) error {
	if ttl < MinTTL || ttl > MaxTTL {
		return fail.Invalid("the TTL is %s; it must be between %s and %s", ttl, MinTTL, MaxTTL)
	}
	return nil
}

// CheckText checks a name, a note or another text of up to most bytes. The rule admits what every
// engine stores unchanged and compares alike.
func CheckText(what, s string, most int) error {
	switch {
	case s == "":
		return fail.Invalid("the %s is empty", what)
	case len(s) > most:
		return fail.Invalid("the %s %.40q… is %d bytes long; at most %d are allowed", what, s, len(s), most)
	case !utf8.ValidString(s):
		return fail.Invalid("the %s %q is not UTF-8", what, s)
	case strings.TrimFunc(s, unicode.IsSpace) != s:
		return fail.Invalid("the %s %q begins or ends with a space, which some databases ignore", what, s)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fail.Invalid("the %s %q contains a control character", what, s)
	}
	return nil
}

// ToMicros rounds d up to whole microseconds, which is what the databases store.
func ToMicros(d time.Duration) time.Duration {
	return (d + time.Microsecond - 1).Truncate(time.Microsecond)
}

// Forever is for how long a row is barred that only says something and must never be taken or
// purged. SQL Server's arithmetic ends at 68 years.
const Forever = 50 * 365 * 24 * time.Hour
