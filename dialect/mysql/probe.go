package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Probe tries whether this database can serve locks: it looks at the session's settings, and runs the statements
// themselves, on a lease and a lock of its own, in a transaction that it rolls back. It blocks until the server answers
// or ctx ends.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return dialect.Server{}, fail("probe", err)
	}
	d.server.Store(nil) // ask again: the address may have become another server's
	d.proven.Store(false)
	server, err := d.readServer(ctx)
	if err == nil {
		err = d.tryAll(ctx)
	}
	var f flavour
	if err == nil {
		f, err = d.flavour(ctx)
	}
	if err != nil {
		return dialect.Server{}, fail("probe", d.explain(err))
	}
	server.Alone = f.galera // batches of two nodes that cross refuse each other at the commit, again and again
	return server, nil
}

// tryAll runs every statement that names a row; those that sweep the tables only read. A row is inserted before
// anything looks for it: looking for a row that isn't there would lock the gap, and two probes would deadlock.
func (d *Dialect) tryAll(ctx context.Context) error {
	f, err := d.flavour(ctx)
	if err != nil {
		return err
	}
	return engine.Trial(ctx, d.db, "a trigger on sqllock's tables, or a view in their place",
		func(tx *sql.Tx, try engine.Try) { trial(ctx, tx, f, try) })
}

func trial(ctx context.Context, tx *sql.Tx, f flavour, try engine.Try) {
	id := rand.Text()
	r := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	claim := dialect.Claim{Key: r.Key, Owner: r.Owner}
	next := dialect.Request{Key: r.Key, LeaseID: id, Owner: rand.Text()}
	gone := dialect.Request{Key: r.Key, LeaseID: id, Owner: rand.Text()}
	over := dialect.Lease{ID: rand.Text(), Holder: "sqllock probe"}
	another := dialect.Lease{ID: rand.Text(), Holder: "sqllock probe"}
	var grant dialect.Grant
	try("create a lease", func() (bool, error) {
		return true, createLease(ctx, tx, dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour})
	})
	try("renew it", func() (bool, error) { return renewLease(ctx, tx, id) })
	try("make a lock", func() (_ bool, err error) { grant, err = insertLock(ctx, tx, r); return grant.Granted, err })
	try("guard it", func() (bool, error) { return guard(ctx, tx, f, claim) })
	try("release it", func() (bool, error) { return release(ctx, tx, claim) })
	try("acquire it", func() (_ bool, err error) { grant, err = acquire(ctx, tx, f, r); return grant.Granted, err })
	try("look at it", func() (bool, error) {
		rows, err := look(ctx, tx, []dialect.Key{r.Key})
		return err == nil && rows[0].Lease == dialect.LeaseLive && rows[0].Fence == grant.Fence, err
	})
	// Rows first here, too: where the transaction is SERIALIZABLE, what reads the queue locks gaps in it.
	try("wait for it", func() (bool, error) {
		ticket, err := takeTicket(ctx, tx, dialect.Waiter{Request: gone})
		return ticket > 0, err
	})
	try("wait behind that", func() (bool, error) {
		place, err := enqueue(ctx, tx, dialect.Waiter{Request: next, Holds: id})
		return !place.First, err
	})
	try("purge the first waiter", func() (bool, error) { n, err := purgeWaiter(ctx, tx, f, gone.Owner); return n == 1, err })
	try("read its queue", func() (bool, error) {
		waiting, err := queue(ctx, tx, r.Key, 1)
		return len(waiting) == 1 && waiting[0].Owner == next.Owner, err
	})
	try("see who holds what", func() (bool, error) { _, err := holding(ctx, tx, 0, 0); return true, err })
	try("pass it on", func() (_ bool, err error) {
		grant, err = pass(ctx, tx, dialect.Pass{Claim: claim, Next: next})
		return grant.Granted, err
	})
	try("leave its queue", func() (bool, error) {
		return dequeue(ctx, tx, dialect.Claim{Key: r.Key, Owner: next.Owner})
	})
	try("free it", func() (bool, error) {
		return free(ctx, tx, f, dialect.Orphan{Key: r.Key, Fence: grant.Fence, LeaseID: id})
	})
	try("purge it", func() (bool, error) { n, err := purgeLock(ctx, tx, f, r.Key, -time.Hour); return n == 1, err })
	trialOutcomes(ctx, tx, f, try, r.Name)
	try("create a lease that is over", func() (bool, error) { return true, createLease(ctx, tx, over) })
	try("bury it", func() (bool, error) { b, err := buryLease(ctx, tx, f, over.ID); return b.Dead, err })
	try("create another", func() (bool, error) { return true, createLease(ctx, tx, another) })
	try("reap it", func() (bool, error) { n, err := buryExpiredLease(ctx, tx, f, another.ID); return n == 1, err })
	try("delete a lease", func() (bool, error) { n, err := engine.Exec(ctx, tx, sqlDeleteLease, id); return n == 1, err })
	try("list locks", func() (bool, error) { _, err := list(ctx, tx, r.Key, false, 1); return true, err })
}

func trialOutcomes(ctx context.Context, tx *sql.Tx, f flavour, try engine.Try, name string) {
	done := dialect.Done{Name: name, Fence: 1, Keep: time.Hour}
	try("claim an outcome", func() (bool, error) { o, err := claimOutcome(ctx, tx, name); return !o.Kept, err })
	try("settle it", func() (bool, error) { o, err := settleOutcome(ctx, tx, done); return o.Kept, err })
	try("remember the first one", func() (bool, error) {
		done.Fence = 2
		o, err := remember(ctx, tx, f, done)
		return o.Fence == 1, err
	})
	other := "sqllock probe " + rand.Text()
	try("claim another", func() (bool, error) { o, err := claimOutcome(ctx, tx, other); return !o.Kept, err })
	try("purge it", func() (bool, error) { n, err := purgeOutcome(ctx, tx, f, other); return n == 1, err })
}

// explain adds what to do about an error that only the operator can mend.
func (d *Dialect) explain(err error) error {
	switch class, n := d.Classify(err), number(err); {
	case class == dialect.ReadOnly:
		return fmt.Errorf("this server takes no writes and may be a replica; connect to the primary: %w", err)
	case class == dialect.NoSchema:
		return fmt.Errorf("a table or column of sqllock is missing from this database; run: sqllock-migrate up: %w", err)
	case n == 1044 || n == erTableDenied || n == 1143: // ER_DBACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR
		return fmt.Errorf("this user needs SELECT, INSERT, UPDATE and DELETE on sqllock_leases, sqllock_locks, "+
			"sqllock_waiters and sqllock_outcomes, and SELECT on sqllock_schema_migrations: %w", err)
	case n == 1064 || n == 1235: // ER_PARSE_ERROR, ER_NOT_SUPPORTED_YET
		return fmt.Errorf("%w: MySQL 8.0.11 or MariaDB 10.6 is needed, or later: %w", dialect.ErrUnsupported, err)
	}
	return err
}
