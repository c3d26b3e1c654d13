package sqllocktest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// schemaVersion is the version of the real engines' migrations whose columns this dialect has.
const schemaVersion = 4

// Dialect is a database of sqllock's tables, and of session locks, in memory. Its methods are safe for concurrent
// use; everything that shares one Dialect shares its locks, as clients of one database do. Make it with New.
type Dialect struct {
	mu     sync.Mutex
	offset time.Duration // of the database's clock from the machine's
	leases map[string]*lease
	locks  map[dialect.Key]*lock

	sessions map[*session]struct{}

	waiters   []*waiter
	tickets   int64 // the last one
	wakes     map[string]*wakes
	lostWakes int // of those to come

	outcomes map[string]outcome

	calls  map[Op]int
	faults map[Op][]fault
	delays map[Op]time.Duration
	outage bool
	late   []pending
}

type lease struct {
	holder  string
	ttl     time.Duration
	expires time.Time
}

type lock struct {
	fence          int64
	leaseID, owner string // both empty: free
	note           string
	acquired, free time.Time
	delay          time.Duration
}

var _ dialect.Dialect = (*Dialect)(nil)

// New makes an empty database.
func New() *Dialect {
	return &Dialect{
		leases: make(map[string]*lease),
		locks:  make(map[dialect.Key]*lock),

		sessions: make(map[*session]struct{}),
		wakes:    make(map[string]*wakes),
		outcomes: make(map[string]outcome),

		calls:  make(map[Op]int),
		faults: make(map[Op][]fault),
		delays: make(map[Op]time.Duration),
	}
}

// Name is "memory".
func (d *Dialect) Name() string { return "memory" }

// SchemaVersion is that of the real engines.
func (d *Dialect) SchemaVersion() uint { return schemaVersion }

// Probe finds nothing wrong unless a fault says so.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	err := d.do(ctx, OpProbe, func(time.Time) {})
	if err != nil {
		return dialect.Server{}, err
	}
	return dialect.Server{Product: "sqllocktest", Version: "1", Schema: schemaVersion, Versioned: true}, nil
}

// Classify answers the class of a scripted *Error, Permanent for what was refused, and else Unknown.
func (d *Dialect) Classify(err error) dialect.Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	if errors.Is(err, dialect.ErrInvalid) || errors.Is(err, dialect.ErrUnsupported) {
		return dialect.Permanent
	}
	return dialect.Unknown
}

// Advance moves the database's clock ahead, which no client of it sees by its own clock.
func (d *Dialect) Advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offset += by
}

// now is the database's clock. The caller holds mu.
func (d *Dialect) now() time.Time { return time.Now().Add(d.offset) }
