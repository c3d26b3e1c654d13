// Package dialecttest is the conformance suite of package dialect: what every engine has to do, each contract in a
// file of its own. An engine's own tests call Run with a fresh database; so does the in-memory dialect.
package dialecttest

import (
	"database/sql"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// Harness is a dialect on a fresh, migrated database that nothing else uses, with room for 20 connections.
type Harness struct {
	Dialect dialect.Dialect // that is tested

	// DB is the pool that Dialect runs on. Nil: there is no database behind it and so no transactions of the
	// caller's, and the fields below stay zero.
	DB *sql.DB

	// New makes a dialect on another pool.
	New func(*sql.DB) dialect.Dialect

	// Open opens one more pool on the same database. The caller closes it.
	Open func(t *testing.T) *sql.DB

	// Empty opens a pool on a database without any tables. The caller closes it.
	Empty func(t *testing.T) *sql.DB

	// Isolation is the levels of isolation that the engine has, besides its default.
	Isolation []sql.IsolationLevel

	// SingleWriter: one transaction that has written keeps all other writers out. While a guard is held, others'
	// writes then wait or fail, and only their safety is asserted, not that they answer at once. A transaction lock
	// is then that one writer's, whatever its name.
	SingleWriter bool

	// ExclusiveGuards: a second guard of one lock waits for the end of the first one's transaction.
	ExclusiveGuards bool

	// Before is called first in the test of each contract, and in each of its subtests. It may skip what the server at
	// hand can't be tested for.
	Before func(t *testing.T)

	// Powers is what Dialect has beyond leases. What is there and not named fails, as does what is named and not there.
	Powers Powers

	// EndSessions ends, in the server, all connections to the database but its own. It must be set where
	// Powers.Session or Powers.Wakes is.
	EndSessions func(t *testing.T)
}

// Powers are the parts of the contract that an engine may do without.
type Powers struct {
	Session       bool // it is a dialect.SessionLocker
	SessionShared bool // and those locks can be shared; else dialect.ErrUnsupported
	Holders       bool // and HeldBy sees who holds them; else it always answers that nobody can be seen
	Tx            bool // it is a dialect.TxLocker
	TxShared      bool // and those locks can be shared; else dialect.ErrUnsupported
	Check         bool // it is a dialect.Checker
	Wakes         bool // it is a dialect.Waker
}

// contract is one file of this package.
type contract struct {
	name  string
	check func(*suite)
	db    bool              // needs Harness.DB
	power func(Powers) bool // that it is about; nil: everybody's
}

func session(p Powers) bool { return p.Session }
func tx(p Powers) bool      { return p.Tx }
func waking(p Powers) bool  { return p.Wakes }

// contracts is the whole suite, in the order of its report.
var contracts = []contract{
	{name: "leases", check: leases},
	{name: "mirror", check: mirror},
	{name: "acquire", check: acquire},
	{name: "delay", check: delay},
	{name: "fences", check: fences},
	{name: "raise", check: raise},
	{name: "release", check: release},
	{name: "free", check: free},
	{name: "look", check: look},
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
	{name: "holding", check: holdingContract},
	{name: "pass", check: pass},
	{name: "purge waiters", check: purgeWaiters},
	{name: "throng", check: thronged},
	{name: "waiters blocked", check: waitersBlocked, db: true},
	{name: "outcomes", check: outcomes},
	{name: "purge outcomes", check: purgeOutcomes},
	{name: "claims", check: claims, db: true},
	{name: "wakes", check: wakes, power: waking},
	{name: "wakes end", check: wakesEnd, power: waking},
	{name: "check", check: checks, power: func(p Powers) bool { return p.Check }},
}

// Run checks every contract as a parallel subtest, each on a harness of its own. Contracts about the caller's
// transactions and about what is wrong with a database are left out where there is no Harness.DB, and those about
// powers where Harness.Powers doesn't name them.
func Run(t *testing.T, newHarness func(t *testing.T) Harness) {
	first := newHarness(t)
	switch {
	case first.Dialect == nil:
		t.Fatal("Harness.Dialect is nil")
	case first.DB != nil && (first.New == nil || first.Open == nil || first.Empty == nil):
		t.Fatal("Harness.New, Open and Empty must be set where DB is")
	case (first.Powers.Session || first.Powers.Wakes) && first.EndSessions == nil:
		t.Fatal("Harness.EndSessions must be set where Powers.Session or Powers.Wakes is")
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
