package lock

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// Kind is the way in which the lock is held. All processes that migrate a database must agree on
// it, because locks of different kinds don't exclude each other.
type Kind string

// The kinds of lock.
const (
	// Auto is Session if two connections show that session locks work. Otherwise it is Lease:
	// behind a pooler in transaction mode, on Galera, and on SQLite.
	Auto Kind = "auto"

	// Session is a lock that the server holds for a connection. It is free as soon as its holder
	// dies, and needs no table.
	Session Kind = "session"

	// Lease is a row in sqllock's tables. It works everywhere, and is free Options.TTL after its
	// holder died.
	Lease Kind = "lease"

	// None is no lock at all, for programs that know that no other process migrates.
	None Kind = "none"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Auto, Session, Lease, None} }

// Defaults of [Options]. A dead holder's lease expires before a waiter times out.
const (
	DefaultTimeout = 15 * time.Second
	DefaultTTL     = 10 * time.Second
	DefaultName    = "migrations"
)

// Options are the options of the lock. The zero value of each field is a good choice, and so is a
// nil *Options.
type Options struct {
	// Kind is the way in which the lock is held; Auto by default.
	Kind Kind

	// Name distinguishes the lock from those for other tables of the same database; DefaultName by
	// default.
	Name string

	// Timeout bounds the wait for the lock, including all requests before it; DefaultTimeout if
	// zero. It must not be negative.
	Timeout time.Duration

	// NoWait makes a single attempt: if another process holds the lock the error is a *TimeoutError
	// at once. Timeout then only bounds how long the database may take to respond.
	NoWait bool

	// TTL is how long the lock stays taken after its holder's last heartbeat; DefaultTTL if zero. A
	// live holder sends a heartbeat every third of the TTL, also during a migration. There is one
	// exception: on SQLite a migration blocks all other writers, including the lock's own
	// heartbeat, so the TTL must be longer than the longest migration. For a session lock the TTL
	// is how long a holder that is frozen or cut off may go without contact, and is at least one
	// second.
	TTL time.Duration

	// Holder is the name by which waiting processes see this one. The default is program@host[pid].
	Holder string

	// Logger receives the log messages of the lock's Client; slog.Default() by default.
	Logger *slog.Logger

	// Waiting is called when another process holds the lock, and again whenever the holder has
	// changed.
	Waiting func(held *sqllock.HeldError)

	// Chosen is called when Auto has chosen Lease, with the reason why Session can't be used.
	Chosen func(kind Kind, why error)

	// Prepare is called before a Lease is taken. It may create sqllock's tables if they are
	// missing. Without it the tables must exist, created by `sqllock-migrate own up` or
	// migrations.Up.
	Prepare func(ctx context.Context) error
}

// withDefaults checks o and fills in the defaults. o may be nil.
func withDefaults(o *Options) (full Options, err error) {
	if o != nil {
		full = *o
	}
	if full.Kind == "" {
		full.Kind = Auto
	}
	if full.Name == "" {
		full.Name = DefaultName
	}
	if full.Timeout == 0 {
		full.Timeout = DefaultTimeout
	}
	if full.TTL == 0 {
		full.TTL = DefaultTTL
	}
	if full.Waiting == nil {
		full.Waiting = func(*sqllock.HeldError) {}
	}
	if full.Chosen == nil {
		full.Chosen = func(Kind, error) {}
	}
	switch {
	case !slices.Contains(Kinds(), full.Kind):
		return full, fmt.Errorf("%w: there is no kind of lock %q; there are %v", dialect.ErrInvalid, full.Kind, Kinds())
	case full.Timeout < 0:
		return full, fmt.Errorf("%w: the lock timeout %v is negative", dialect.ErrInvalid, full.Timeout)
	case full.TTL < sqllock.MinTTL || full.TTL > sqllock.MaxTTL:
		return full, fmt.Errorf("%w: the lock's TTL is %v; it must be between %v and %v", dialect.ErrInvalid, full.TTL,
			sqllock.MinTTL, sqllock.MaxTTL)
	}
	return full, nil
}

// client returns a client that is configured for a lock of that kind.
func (o Options) client(ctx context.Context, d dialect.Dialect, kind Kind) (*sqllock.Client, error) {
	return sqllock.New(ctx, d, &sqllock.Options{
		WithoutTables: kind == Session, TTL: o.TTL, KeepAlive: max(o.TTL, sqllock.MinKeepAlive),
		Holder: o.Holder, Logger: o.Logger, ReapEvery: -1,
	})
}
