package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Probe tries whether this database can serve locks. It checks the session's settings, and runs the
// statements themselves, on a lease and a lock of its own, in a transaction that it rolls back.
// Then two sessions compete for a row, which it commits for that and removes again. It blocks until
// the server replies or ctx ends.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return dialect.Server{}, fail("probe", err)
	}
	d.server.Store(nil) // read again: the address may now be another server's
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
	// TiDB has no batches. On Galera, overlapping batches of two nodes refuse each other at the
	// commit, again and again.
	server.SingleRowOnly = f.galera || f.product == tidb
	return server, nil
}

// tryAll runs every statement that names a row. The statements that scan whole tables only read. A
// row is inserted before anything looks for it: a read of a row that doesn't exist would lock the
// gap, and two probes would deadlock.
func (d *Dialect) tryAll(ctx context.Context) error {
	f, err := d.flavour(ctx)
	if err != nil {
		return err
	}
	err = engine.Trial(ctx, engine.SQLConns(d.db), "a trigger on sqllock's tables, or a view in their place",
		func(tx engine.Session, try engine.Try) { trial(ctx, f.on(tx), f, try) })
	if err != nil {
		return err
	}
	return rivals(d.db, f).Compete(ctx)
}

// rivals are two sessions that compete for a row of Probe's.
func rivals(db *sql.DB, f flavour) engine.Rivals {
	return engine.Rivals{
		Conns: engine.SQLConns(db),
		CreateLease: func(ctx context.Context, s engine.Session, lease dialect.Lease) error {
			return createLease(ctx, f.on(s), lease)
		},
		Insert: func(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
			return insertLock(ctx, f.on(s), r)
		},
		AdvanceFence: advanceFence,
		Release: func(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
			return release(ctx, f.on(s), c)
		},
		Take: func(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
			return take(ctx, f.on(s), f, r)
		},
		Guard: func(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
			return guard(ctx, f.on(s), f, c)
		},
		Free: func(ctx context.Context, s engine.Session, h dialect.DeadHolder) (bool, error) {
			return free(ctx, f.on(s), f, h)
		},
		Remove: func(ctx context.Context, s engine.Session, lock, lease string) error {
			_, err := engine.Exec(ctx, s, sqlRemoveLock, lock)
			if err == nil {
				_, err = engine.Exec(ctx, s, sqlDeleteLease, lease)
			}
			return err
		},
	}
}

func trial(ctx context.Context, tx engine.Session, f flavour, try engine.Try) {
	id := rand.Text()
	r := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	claim := dialect.Claim{Key: r.Key, Owner: r.Owner}
	next := dialect.Request{Key: r.Key, LeaseID: id, Owner: rand.Text()}
	gone := dialect.Request{Key: r.Key, LeaseID: id, Owner: rand.Text()}
	over := dialect.Lease{ID: rand.Text(), Holder: "sqllock probe", TTL: -time.Hour}
	another := dialect.Lease{ID: rand.Text(), Holder: "sqllock probe", TTL: -time.Hour}
	var grant dialect.Grant
	try("read the clock", func() (bool, error) {
		return one(ctx, tx, engine.One[bool], "SELECT UTC_TIMESTAMP(6) > TIMESTAMP'2000-01-01 00:00:00'")
	})
	try("create a lease", func() (bool, error) {
		return true, createLease(ctx, tx, dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour})
	})
	try("renew it", func() (bool, error) { return renewLease(ctx, tx, id) })
	try("make a lock", func() (_ bool, err error) { grant, err = insertLock(ctx, tx, r); return grant.Granted, err })
	try("guard it", func() (bool, error) { return guard(ctx, tx, f, claim) })
	try("release it", func() (bool, error) { return release(ctx, tx, claim) })
	try("acquire it", func() (_ bool, err error) { grant, err = acquire(ctx, tx, f, r); return grant.Granted, err })
	try("read it", func() (bool, error) {
		rows, err := getRow(ctx, tx, f, []dialect.Key{r.Key})
		return err == nil && rows[0].Lease == dialect.LeaseLive && rows[0].Fence == grant.Fence, err
	})
	// Here, too, rows are inserted first: in a SERIALIZABLE transaction a read of the queue locks
	// gaps.
	try("enter its queue", func() (bool, error) {
		ticket, err := takeTicket(ctx, tx, dialect.Waiter{Request: gone})
		return ticket > 0, err
	})
	try("queue behind that", func() (bool, error) {
		position, err := enqueue(ctx, tx, dialect.Waiter{Request: next, Holds: id})
		return !position.First, err
	})
	try("purge the first waiter", func() (bool, error) {
		n, err := purgeWaiter(ctx, tx, f, gone.Owner)
		return n == 1, err
	})
	try("read its queue", func() (bool, error) {
		waiting, err := queue(ctx, tx, r.Key, 1)
		return len(waiting) == 1 && waiting[0].Owner == next.Owner, err
	})
	try("read the waiting holders", func() (bool, error) { _, err := waitingHolders(ctx, tx, 0, 0); return true, err })
	try("transfer it", func() (_ bool, err error) {
		grant, err = transfer(ctx, tx, f, dialect.Transfer{Claim: claim, Next: next})
		return grant.Granted, err
	})
	try("leave its queue", func() (bool, error) {
		return dequeue(ctx, tx, dialect.Claim{Key: r.Key, Owner: next.Owner})
	})
	trialBreaks(ctx, tx, try, dialect.Claim{Key: r.Key, Owner: next.Owner})
	try("acquire it after that", func() (_ bool, err error) {
		grant, err = take(ctx, tx, f, next)
		return grant.Granted, err
	})
	try("free it", func() (bool, error) {
		return free(ctx, tx, f, dialect.DeadHolder{Key: r.Key, Fence: grant.Fence, LeaseID: id})
	})
	try("end its bar", func() (bool, error) {
		ended, err := endBar(ctx, tx, dialect.Bar{Key: r.Key, Fence: grant.Fence})
		return !ended, err
	})
	try("read overlong leases", func() (bool, error) {
		_, err := engine.Query(ctx, tx, engine.ScanRenewal, sqlOverlong, 0)
		return true, err
	})
	try("purge it", func() (bool, error) {
		n, err := purgeLock(ctx, tx, f, r.Key, -time.Hour)
		return n == 1 || f.product == tidb, err // its clock stands still, and so the fence isn't behind it
	})
	trialOutcomes(ctx, tx, f, try, r.Name)
	try("create a lease that is over", func() (bool, error) { return true, createLease(ctx, tx, over) })
	try("expire it", func() (bool, error) { b, err := expireLease(ctx, tx, f, over.ID, noRenewal); return b.Dead, err })
	try("create another", func() (bool, error) { return true, createLease(ctx, tx, another) })
	try("delete it", func() (bool, error) {
		n, err := deleteExpiredLease(ctx, tx, f, another.ID, 0)
		return n == 1, err
	})
	try("delete a lease", func() (bool, error) {
		n, err := engine.Exec(ctx, tx, sqlDeleteLease, id)
		return n == 1, err
	})
	try("list locks", func() (bool, error) { _, err := list(ctx, tx, f, r.Key, false, 1); return true, err })
}

func trialOutcomes(ctx context.Context, tx engine.Session, f flavour, try engine.Try, name string) {
	done := dialect.Done{Name: name, Fence: 1, Keep: time.Hour}
	try("claim an outcome", func() (bool, error) { o, err := claimOutcome(ctx, tx, name); return !o.Kept, err })
	try("remember it in the transaction", func() (bool, error) {
		o, err := rememberTx(ctx, tx, done)
		return o.Kept, err
	})
	try("remember the first one", func() (bool, error) {
		done.Fence = 2
		o, err := remember(ctx, tx, f, done)
		return o.Fence == 1, err
	})
	other := "sqllock probe " + rand.Text()
	try("claim another", func() (bool, error) { o, err := claimOutcome(ctx, tx, other); return !o.Kept, err })
	try("purge it", func() (bool, error) { n, err := purgeOutcome(ctx, tx, f, other); return n == 1, err })
}

func trialBreaks(ctx context.Context, tx engine.Session, try engine.Try, claim dialect.Claim) {
	b := dialect.Break{Claim: claim, ID: rand.Text()}
	try("break it", func() (bool, error) { return breakStatements(b).Run(ctx, tx) })
	try("find it broken", func() (bool, error) { return breakStatements(b).Run(ctx, tx) })
	try("list its breaks", func() (bool, error) {
		broken, err := listBreaks(ctx, tx, b.Name, 1)
		return len(broken) == 1 && broken[0].ID == b.ID, err
	})
	try("read old breaks", func() (bool, error) {
		_, err := engine.Query(ctx, tx, engine.One[string], sqlOldBreaks, 0, 0)
		return true, err
	})
	try("delete the break", func() (bool, error) {
		n, err := engine.Exec(ctx, tx, sqlDeleteBreak, b.ID)
		return n == 1, err
	})
}

// noTable reports whether err says that a table doesn't exist.
func (d *Dialect) noTable(err error) bool { return d.Classify(err) == dialect.ClassNoSchema }

// explain adds advice to an error that only the operator can fix.
func (d *Dialect) explain(err error) error {
	switch class, n := d.Classify(err), number(err); {
	case class == dialect.ClassReadOnly:
		return fmt.Errorf("this server takes no writes and may be a replica; connect to the primary: %w", err)
	case class == dialect.ClassNoSchema:
		return fmt.Errorf("a table or column of sqllock is missing from this database; run: sqllock-migrate own up: %w",
			err)
	case n == 1044 || n == erTableDenied || n == 1143: // denied for a database, table or column
		return fmt.Errorf("this user needs SELECT, INSERT, UPDATE and DELETE on sqllock_leases, sqllock_locks, "+
			"sqllock_waiters and sqllock_outcomes, SELECT, INSERT and DELETE on sqllock_breaks, and SELECT on "+
			"sqllock_schema_migrations and sqllock_schema: %w", err)
	case n == 1064 || n == 1235: // ER_PARSE_ERROR, ER_NOT_SUPPORTED_YET
		return fmt.Errorf("%w: MySQL 8.0.11 or MariaDB 10.6 is needed, or later: %w", dialect.ErrUnsupported, err)
	}
	return err
}
