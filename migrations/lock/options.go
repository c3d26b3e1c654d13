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

// Kind is how the lock is held. All who migrate a database must agree on it: locks of two kinds don't see each other.
type Kind string

// The kinds of lock.
const (
	// Auto is Session where two connections show that it works, else Lease: behind a pooler in transaction mode, on Galera,
	// and on SQLite.
	Auto Kind = "auto"

	// Session is held by the server for a connection: it is free as soon as its holder dies, and needs no table.
	Session Kind = "session"

	// Lease is a row in sqllock's tables: it works everywhere, and is free Options.TTL after its holder died.
	Lease Kind = "lease"

	// None is no lock at all, for those who know that nobody else migrates.
	None Kind = "none"
)

// Kinds are all there are.
func Kinds() []Kind { return []Kind{Auto, Session, Lease, None} }

// Defaults of Options. A dead holder's lease is over before those who wait for it give up.
const (
	DefaultTimeout = 15 * time.Second
	DefaultTTL     = 10 * time.Second
	DefaultName    = "migrations"
)

// Options of the lock. The zero value of each field is a good choice, and so is a nil *Options.
type Options struct {
	// Kind is how the lock is held: Auto unless said otherwise.
	Kind Kind

	// Name tells the lock from those for other tables of the same database: DefaultName unless said otherwise.
	Name string

	// Timeout is how long to wait for the lock, all that has to be asked before included: DefaultTimeout if zero. Negative
	// is refused.
	Timeout time.Duration

	// TTL is how long the lock stays taken after its holder was last heard of: DefaultTTL if zero. A holder that is alive is
	// heard of every third of it, whatever it has under way, with one exception: a migration on SQLite keeps everybody else
	// from writing, the lock's own heartbeat among them, so there it must be longer than the longest migration takes. For a
	// session lock it says how long a holder that is frozen or cut off may be unheard of, and is a second at least.
	TTL time.Duration

	// Holder is how this process is shown to those who wait. Default: program@host[pid].
	Holder string

	// Logger gets what the Client behind the lock logs. Default slog.Default().
	Logger *slog.Logger

	// Waiting is called when the lock is found held, and again whenever it is found held by somebody else.
	Waiting func(held *sqllock.HeldError)

	// Chosen is called when Auto has chosen Lease, with the reason why it isn't Session.
	Chosen func(kind Kind, why error)

	// Prepare is called before a Lease is asked for: it may make sqllock's tables if they are missing. Else they have to be
	// there, by `sqllock-migrate up` or migrations.Up.
	Prepare func(ctx context.Context) error
}

// withDefaults checks o and fills in what was left out; nil is fine.
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
	if full.Prepare == nil {
		full.Prepare = func(context.Context) error { return nil }
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

// client is of the kind that such a lock needs.
func (o Options) client(ctx context.Context, d dialect.Dialect, kind Kind) (*sqllock.Client, error) {
	return sqllock.New(ctx, d, &sqllock.Options{
		WithoutTables: kind == Session, TTL: o.TTL, KeepAlive: max(o.TTL, sqllock.MinKeepAlive),
		Holder: o.Holder, Logger: o.Logger, ReapEvery: -1,
	})
}

func (o Options) acquisition(kind Kind) []sqllock.Option {
	if kind == Session {
		return []sqllock.Option{sqllock.Session()}
	}
	return nil
}
