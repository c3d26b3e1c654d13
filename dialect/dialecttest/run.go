// Package dialecttest is the conformance suite of package dialect. It checks what every engine has
// to do, each contract in a file of its own. An engine's own tests call [Run] with a fresh
// database. So do those of the in-memory dialect.
package dialecttest

import (
	"database/sql"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// Harness is a dialect on a fresh, migrated database that nothing else uses, with room for 20
// connections.
type Harness struct {
	Dialect dialect.Dialect // the dialect under test

	// DB is the pool that Dialect runs on. It is nil if there is no database behind Dialect, and so
	// no transactions of the caller's. The fields below are zero then.
	DB *sql.DB

	// Pools opens pools that are not database/sql's. It replaces New, Open and Empty, and DB then
	// serves only the suite's own statements.
	Pools Pools

	// New makes a dialect on another pool.
	New func(*sql.DB) dialect.Dialect

	// Open opens one more pool on the same database. The caller closes it.
	Open func(t *testing.T) *sql.DB

	// Empty opens a pool on a database without any tables. The caller closes it.
	Empty func(t *testing.T) *sql.DB

	// Direct is a pool for the suite's own reads of the tables, which the suite doesn't close. If
	// it is nil, DB serves them. It is for a DB whose connections are shared by a pooler, where
	// statements that the driver prepares for the suite would get lost.
	Direct *sql.DB

	// Isolation lists the isolation levels that the engine has in addition to its default.
	Isolation []sql.IsolationLevel

	// SingleWriter means that one transaction that has written excludes all other writers. While a
	// guard is held, other writes then wait or fail, and the suite checks only their safety, not
	// that they return at once. A transaction lock is then that of the one writer, whatever its
	// name.
	SingleWriter bool

	// ExclusiveGuards means that a second guard of one lock waits for the end of the first one's
	// transaction.
	ExclusiveGuards bool

	// Before is called at the beginning of the test of each contract, and of each subtest. It may
	// skip what this server can't be tested for.
	Before func(t *testing.T)

	// Powers lists what Dialect has in addition to leases. The suite fails for a power that exists
	// and isn't listed, and for one that is listed and doesn't exist.
	Powers Powers

	// EndSessions ends, in the server, all connections to the database but its own. It must be set
	// if Powers.Session or Powers.Notifier is.
	EndSessions func(t *testing.T)
}

// Powers are the optional parts of the contract.
type Powers struct {
	Session       bool // the dialect is a dialect.SessionLocker
	SessionShared bool // its locks can be shared; otherwise dialect.ErrUnsupported
	Holders       bool // HeldBy names the holders; otherwise it never names one
	Tx            bool // the dialect is a dialect.TxLocker
	TxShared      bool // its locks can be shared; otherwise dialect.ErrUnsupported
	Check         bool // the dialect is a dialect.Checker
	Notifier      bool // the dialect is a dialect.Notifier
}

// contract is one file of this package.
type contract struct {
	name  string
	check func(*suite)
	db    bool              // it needs Harness.DB
	power func(Powers) bool // the power that it needs; nil if it is for all dialects
}

func session(p Powers) bool   { return p.Session }
func tx(p Powers) bool        { return p.Tx }
func notifying(p Powers) bool { return p.Notifier }

// contracts is the whole suite, in the order of its report.
var contracts = []contract{
	{name: "leases", check: leases},
	{name: "renew or expire", check: renewOrExpire},
	{name: "acquire", check: acquire},
	{name: "delay", check: delay},
	{name: "steps", check: steps},
	{name: "fences", check: fences},
	{name: "advance fence", check: advanceFence},
	{name: "release", check: release},
	{name: "free", check: free},
	{name: "get", check: get},
	{name: "flags", check: flags},
	{name: "list", check: list},
	{name: "text", check: text},
	{name: "purge", check: purge},
	{name: "slices", check: slicesContract},
	{name: "holder", check: holder},
	{name: "precision", check: precision},
	{name: "ctx", check: contexts},
	{name: "probe", check: probe},
	{name: "guard", check: guard, db: true},
	{name: "isolation", check: isolation, db: true},
	{name: "blocked", check: blocked, db: true},
	{name: "clock", check: clock, db: true},
	{name: "errors", check: failures, db: true},
	{name: "version", check: version, db: true},
	{name: "powers", check: powers},
	{name: "session", check: sessions, power: session},
	{name: "session names", check: sessionNames, power: session},
	{name: "session shared", check: sessionShared, power: session},
	{name: "session holder", check: sessionHolder, power: session},
	{name: "session end", check: sessionEnd, power: session},
	{name: "tx", check: transactions, db: true, power: tx},
	{name: "tx wait", check: txWait, db: true, power: tx},
	{name: "tx shared", check: txShared, db: true, power: tx},
	{name: "kinds", check: kinds},
	{name: "waiters", check: waiters},
	{name: "queue", check: queueContract},
	{name: "list waiters", check: listWaitersContract},
	{name: "waiting holders", check: waitingHoldersContract},
	{name: "transfer", check: transfer},
	{name: "purge waiters", check: purgeWaiters},
	{name: "queue stress", check: runQueueStress},
	{name: "waiters blocked", check: waitersBlocked, db: true},
	{name: "outcomes", check: outcomes},
	{name: "purge outcomes", check: purgeOutcomes},
	{name: "claims", check: claims, db: true},
	{name: "breaks", check: breaks},
	{name: "purge breaks", check: purgeBreaks},
	{name: "notifications", check: notifications, power: notifying},
	{name: "listener ends", check: listenerEnds, power: notifying},
	{name: "check", check: checks, power: func(p Powers) bool { return p.Check }},
}

// Run checks every contract as a parallel subtest, each with a harness of its own. Without a
// Harness.DB it omits contracts about the caller's transactions and about defects of a database. It
// omits those about powers that Harness.Powers doesn't list.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	first := newHarness(t)
	switch {
	case first.Dialect == nil:
		t.Fatal("Harness.Dialect is nil")
	case first.DB != nil && first.Pools == nil && (first.New == nil || first.Open == nil || first.Empty == nil):
		t.Fatal("Harness.New, Open and Empty must be set where DB is")
	case (first.Powers.Session || first.Powers.Notifier) && first.EndSessions == nil:
		t.Fatal("Harness.EndSessions must be set where Powers.Session or Powers.Notifier is")
	}
	for _, c := range contracts {
		if c.db && first.DB == nil || c.power != nil && !c.power(first.Powers) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(newSuite(t, newHarness(t)).begun())
		})
	}
}
