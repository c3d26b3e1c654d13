package sqllocktest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// schemaVersion is the version of the real engines' migrations that this dialect corresponds to.
const schemaVersion = 8

// Dialect is a database in memory with sqllock's tables and session locks. Everything that shares
// one Dialect shares its locks, as clients of one database do. Make it with [New]. Its methods are
// safe for concurrent use.
type Dialect struct {
	mu     sync.Mutex
	offset time.Duration // of the database's clock from the machine's clock
	leases map[string]*lease
	ended  map[string]time.Time // when the leases ended that were expired
	locks  map[dialect.Key]*lock

	sessions map[*session]struct{}

	waiters           []*waiter
	tickets           int64 // the last ticket
	listeners         map[string]*listener
	lostNotifications int // number of notifications still to lose

	outcomes map[string]outcome
	broken   []dialect.Broken

	calls   map[Op]int
	faults  map[Op][]fault
	delays  map[Op]time.Duration
	outage  bool
	demoted bool
	delayed []pending
}

type lease struct {
	holder  string
	ttl     time.Duration
	renewed time.Time
	expires time.Time
}

type lock struct {
	fence          int64
	leaseID, owner string // both empty if the lock is free
	note           string
	acquired, free time.Time // free is zero if nothing bars the lock
	delay          time.Duration
}

var _ dialect.Dialect = (*Dialect)(nil)

// New returns an empty database.
func New() *Dialect {
	return &Dialect{
		leases: make(map[string]*lease),
		ended:  make(map[string]time.Time),
		locks:  make(map[dialect.Key]*lock),

		sessions:  make(map[*session]struct{}),
		listeners: make(map[string]*listener),
		outcomes:  make(map[string]outcome),

		calls:  make(map[Op]int),
		faults: make(map[Op][]fault),
		delays: make(map[Op]time.Duration),
	}
}

// Name returns "memory".
func (d *Dialect) Name() string { return "memory" }

// SchemaVersion returns the schema version of the real engines.
func (d *Dialect) SchemaVersion() uint { return schemaVersion }

// Probe reports a usable server unless a fault says otherwise.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	err := d.do(ctx, OpProbe, func(time.Time) {})
	if err != nil {
		return dialect.Server{}, err
	}
	return dialect.Server{Product: "sqllocktest", Version: "1", Schema: schemaVersion, Versioned: true}, nil
}

// Classify returns the class of a scripted [*Error], [dialect.ClassPermanent] for a call that was
// refused, and [dialect.ClassUnknown] for everything else.
func (d *Dialect) Classify(err error) dialect.Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	if errors.Is(err, dialect.ErrInvalid) || errors.Is(err, dialect.ErrUnsupported) {
		return dialect.ClassPermanent
	}
	return dialect.ClassUnknown
}

// Advance moves the database's clock ahead, or back if by is negative. The clocks of clients don't
// change.
func (d *Dialect) Advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offset += by
}

// now returns the time by the database's clock. The caller holds mu.
func (d *Dialect) now() time.Time { return time.Now().Add(d.offset) }
