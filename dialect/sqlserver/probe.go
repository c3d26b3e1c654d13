package sqlserver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
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
	d.proven.Store(false)
	// read again: the setting or the database at this address may be another now
	d.versioned.Store(nil)
	server, err := d.readServer(ctx)
	if err == nil {
		err = d.tryAll(ctx)
	}
	if err != nil {
		return dialect.Server{}, fail("probe", d.explain(err))
	}
	return server, nil
}

// readServer reads which server this is, and which migrations were applied.
func (d *Dialect) readServer(ctx context.Context) (server dialect.Server, err error) {
	implicit := false
	_, err = query(ctx, d.pool, func(rows dialect.Rows, _ *struct{}) error {
		var banner string
		var option int
		err := rows.Scan(&banner, &server.Version, &server.Versioned, &option)
		server.Product, implicit = product(banner), option != 0
		return err
	}, sqlServer)
	if err != nil {
		return server, err
	}
	if implicit {
		return server, fmt.Errorf("%w: IMPLICIT_TRANSACTIONS is on for the sessions of this *sql.DB, so nothing that "+
			"a statement does would be committed; leave it off", dialect.ErrUnsupported)
	}
	if !server.Versioned {
		return server, nil
	}
	if err = engine.ReadSchema(ctx, d.pool, &server, sqlSchema); err != nil {
		return server, err
	}
	err = engine.ReadCompatible(ctx, d.pool, &server, d.SchemaVersion(), sqlCompatible, d.noTable)
	return server, err
}

// product distinguishes SQL Server's relatives, for messages only: Probe finds out by trying what
// they can do.
func product(banner string) string {
	for _, name := range []string{"Babelfish", "Microsoft SQL Azure", "Microsoft Azure SQL Edge"} {
		if strings.HasPrefix(banner, name) {
			return name
		}
	}
	return "SQL Server"
}

func (d *Dialect) tryAll(ctx context.Context) error {
	r, err := d.reads(ctx)
	if err != nil {
		return err
	}
	err = engine.Trial(ctx, engine.SQLConns(d.db),
		"a view in the place of one of sqllock's tables, or a security policy on it",
		func(tx engine.Session, try engine.Try) { trial(ctx, tx, r, try) })
	if err != nil {
		return err
	}
	return rivals(d.db).Compete(ctx)
}

// rivals are two sessions that compete for a row of Probe's.
func rivals(db *sql.DB) engine.Rivals {
	return engine.Rivals{
		Conns:       engine.SQLConns(db),
		CreateLease: createLease, AdvanceFence: advanceFence,
		Insert: func(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
			return insertLock(ctx, s, "", r)
		},
		Release: func(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
			return own(ctx, s, sqlRelease, c)
		},
		Take: func(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
			return write(ctx, s, "", sqlAcquire, r)
		},
		Guard: func(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
			return own(ctx, s, sqlGuard, c)
		},
		Free: free,
		Remove: func(ctx context.Context, s engine.Session, lock, lease string) error {
			_, err := exec(ctx, s, sqlRemoveLock, text(lock))
			if err == nil {
				_, err = deleteLease(ctx, s, lease)
			}
			return err
		},
	}
}

// trial tries every statement that names rows. The statements that delete in bulk get a limit of no
// rows, since they would lock other clients' rows.
func trial(ctx context.Context, tx engine.Session, r reads, try engine.Try) {
	id := rand.Text()
	request := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	claim := dialect.Claim{Key: request.Key, Owner: request.Owner}
	next := dialect.Request{Key: request.Key, LeaseID: id, Owner: rand.Text()}
	lease := dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour}
	var grant dialect.Grant
	try("create a lease", func() (bool, error) { return true, createLease(ctx, tx, lease) })
	try("renew it", func() (bool, error) { return renewLease(ctx, tx, id) })
	try("make a lock", func() (_ bool, err error) {
		grant, err = insertLock(ctx, tx, "", request)
		return grant.Granted, err
	})
	try("guard it", func() (bool, error) { return own(ctx, tx, sqlGuard, claim) })
	try("release it", func() (bool, error) { return own(ctx, tx, sqlRelease, claim) })
	try("acquire it", func() (_ bool, err error) {
		grant, err = acquire(ctx, tx, "", request)
		return grant.Granted, err
	})
	try("read it", func() (bool, error) {
		rows, err := getRow(ctx, tx, r, []dialect.Key{request.Key})
		return err == nil && rows[0].Lease == dialect.LeaseLive && rows[0].Fence == grant.Fence, err
	})
	try("enter its queue", func() (bool, error) {
		position, err := enqueue(ctx, tx, dialect.Waiter{Request: next, Holds: id})
		return position.First, err
	})
	try("read its queue", func() (bool, error) {
		waiting, err := queue(ctx, tx, r, request.Key, 1)
		return len(waiting) == 1 && waiting[0].Owner == next.Owner, err
	})
	try("read the waiting holders", func() (bool, error) {
		_, err := waitingHolders(ctx, tx, r, 0, 0)
		return true, err
	})
	try("transfer it", func() (_ bool, err error) {
		grant, err = transfer(ctx, tx, dialect.Transfer{Claim: claim, Next: next})
		return grant.Granted, err
	})
	try("leave its queue", func() (bool, error) {
		return own(ctx, tx, sqlDequeue, dialect.Claim{Key: request.Key, Owner: next.Owner})
	})
	trialBreaks(ctx, tx, r, try, dialect.Claim{Key: request.Key, Owner: next.Owner})
	try("acquire it after that", func() (_ bool, err error) {
		grant, err = acquire(ctx, tx, "", next)
		return grant.Granted, err
	})
	try("free it", func() (bool, error) {
		return free(ctx, tx, dialect.DeadHolder{Key: request.Key, Fence: grant.Fence, LeaseID: id})
	})
	try("end its bar", func() (bool, error) {
		ended, err := endBar(ctx, tx, dialect.Bar{Key: request.Key, Fence: grant.Fence})
		return !ended, err
	})
	try("read overlong leases", func() (bool, error) {
		_, err := query(ctx, tx, engine.ScanRenewal, sqlOverlong, int64(0))
		return true, err
	})
	try("find the lease alive", func() (bool, error) {
		expiry, err := expireLease(ctx, tx, id, noRenewal)
		return err == nil && !expiry.Dead, err
	})
	trialOutcomes(ctx, tx, try, request.Name)
	try("delete the lease", func() (bool, error) { n, err := deleteLease(ctx, tx, id); return n == 1, err })
	try("read the list", func() (bool, error) { _, err := list(ctx, tx, r, request.Key, false, 1); return true, err })
	try("delete expired leases", func() (bool, error) {
		_, err := exec(ctx, tx, sqlDeleteExpired, int64(0), int64(0))
		return true, err
	})
	try("purge waiters", func() (bool, error) { _, err := exec(ctx, tx, sqlPurgeWaiters, int64(0)); return true, err })
	try("purge outcomes", func() (bool, error) {
		_, err := exec(ctx, tx, sqlPurgeOutcomes, int64(0))
		return true, err
	})
	try("purge breaks", func() (bool, error) {
		_, err := exec(ctx, tx, sqlPurgeBreaks, int64(0), int64(0))
		return true, err
	})
	try("purge locks", func() (bool, error) { _, err := exec(ctx, tx, sqlPurge, int64(0), int64(0)); return true, err })
}

func trialOutcomes(ctx context.Context, tx engine.Session, try engine.Try, name string) {
	done := dialect.Done{Name: name, Fence: 1, Keep: time.Hour}
	try("claim an outcome", func() (bool, error) { o, err := claimOutcome(ctx, tx, name); return !o.Kept, err })
	try("remember it in the transaction", func() (bool, error) {
		o, _, err := writeOutcome(ctx, tx, sqlRememberTx, done)
		return o.Kept, err
	})
	try("recall it", func() (bool, error) { o, err := recall(ctx, tx, name); return o.Kept && o.Fence == 1, err })
	done.Name = "sqllock probe " + rand.Text()
	try("remember one", func() (bool, error) { o, err := remember(ctx, tx, done); return o.Kept, err })
}

func trialBreaks(ctx context.Context, tx engine.Session, r reads, try engine.Try, claim dialect.Claim) {
	b := dialect.Break{Claim: claim, ID: rand.Text()}
	try("break it", func() (bool, error) { return breakLock(ctx, tx, b) })
	try("find it broken", func() (bool, error) { return breakLock(ctx, tx, b) })
	try("list its breaks", func() (bool, error) {
		broken, err := listBreaks(ctx, tx, r, b.Name, 1)
		return len(broken) == 1 && broken[0].ID == b.ID, err
	})
}

// noTable reports whether err says that a table doesn't exist.
func (d *Dialect) noTable(err error) bool { return d.Classify(err) == dialect.ClassNoSchema }

// explain adds advice to an error that only the operator can fix.
func (d *Dialect) explain(err error) error {
	switch class, n := d.Classify(err), number(err); {
	case class == dialect.ClassReadOnly:
		return fmt.Errorf("this database takes no writes and may be a secondary; connect to the primary, without "+
			"ApplicationIntent=ReadOnly: %w", err)
	case class == dialect.ClassNoSchema:
		return fmt.Errorf("a table or column of sqllock is missing from the user's default schema; "+
			"run: sqllock-migrate own up: %w", err)
	case n == 229 || n == 230: // permission denied on an object, on a column
		return fmt.Errorf("this user needs SELECT, INSERT, UPDATE and DELETE on sqllock_leases, sqllock_locks, "+
			"sqllock_waiters and sqllock_outcomes, SELECT, INSERT and DELETE on sqllock_breaks, and SELECT on "+
			"sqllock_schema_migrations and sqllock_schema: %w", err)
	case n == 334: // a trigger excludes OUTPUT, which reports what a statement did
		return fmt.Errorf("%w: there is a trigger on one of sqllock's tables; drop it: %w", dialect.ErrUnsupported, err)
	}
	return err
}
