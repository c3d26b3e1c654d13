package sqlserver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
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
	d.proven.Store(false)
	d.versioned.Store(nil) // ask again: it may have been changed, or the address have become another database's
	server, err := d.readServer(ctx)
	if err == nil {
		err = d.tryAll(ctx)
	}
	if err != nil {
		return dialect.Server{}, fail("probe", d.explain(err))
	}
	return server, nil
}

// readServer finds out who answers, and which migrations have been applied.
func (d *Dialect) readServer(ctx context.Context) (server dialect.Server, err error) {
	implicit := false
	_, err = query(ctx, d.pool, func(rows *sql.Rows, _ *struct{}) error {
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
		return server, fmt.Errorf("%w: IMPLICIT_TRANSACTIONS is on for the sessions of this *sql.DB, so nothing that a "+
			"statement does would be committed; leave it off", dialect.ErrUnsupported)
	}
	if server.Versioned {
		_, err = query(ctx, d.pool, engine.ScanSchema(&server), sqlSchema)
	}
	return server, err
}

// product tells the look-alikes apart, for messages only: what they can do is found by trying.
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
	return engine.Trial(ctx, d.db, "a view in the place of one of sqllock's tables, or a security policy on it",
		func(tx *sql.Tx, try engine.Try) { trial(ctx, tx, r, try) })
}

// trial tries every statement that names rows; those that sweep the tables would lock other people's.
func trial(ctx context.Context, tx *sql.Tx, r reads, try engine.Try) {
	id := rand.Text()
	request := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	claim := dialect.Claim{Key: request.Key, Owner: request.Owner}
	next := dialect.Request{Key: request.Key, LeaseID: id, Owner: rand.Text()}
	lease := dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour}
	var grant dialect.Grant
	try("create a lease", func() (bool, error) { return true, createLease(ctx, tx, lease) })
	try("renew it", func() (bool, error) { return renewLease(ctx, tx, id) })
	try("make a lock", func() (_ bool, err error) { grant, err = insertLock(ctx, tx, "", request); return grant.Granted, err })
	try("guard it", func() (bool, error) { return own(ctx, tx, sqlGuard, claim) })
	try("release it", func() (bool, error) { return own(ctx, tx, sqlRelease, claim) })
	try("acquire it", func() (_ bool, err error) { grant, err = acquire(ctx, tx, "", request); return grant.Granted, err })
	try("look at it", func() (bool, error) {
		rows, err := look(ctx, tx, r, []dialect.Key{request.Key})
		return err == nil && rows[0].Lease == dialect.LeaseLive && rows[0].Fence == grant.Fence, err
	})
	try("wait for it", func() (bool, error) {
		place, err := enqueue(ctx, tx, dialect.Waiter{Request: next, Holds: id})
		return place.First, err
	})
	try("read its queue", func() (bool, error) {
		waiting, err := queue(ctx, tx, r, request.Key, 1)
		return len(waiting) == 1 && waiting[0].Owner == next.Owner, err
	})
	try("see who holds what", func() (bool, error) { _, err := holding(ctx, tx, r, 0, 0); return true, err })
	try("pass it on", func() (_ bool, err error) {
		grant, err = pass(ctx, tx, dialect.Pass{Claim: claim, Next: next})
		return grant.Granted, err
	})
	try("leave its queue", func() (bool, error) {
		return own(ctx, tx, sqlDequeue, dialect.Claim{Key: request.Key, Owner: next.Owner})
	})
	try("free it", func() (bool, error) {
		return free(ctx, tx, dialect.Orphan{Key: request.Key, Fence: grant.Fence, LeaseID: id})
	})
	try("see the lease alive", func() (bool, error) {
		burial, err := buryLease(ctx, tx, id)
		return err == nil && !burial.Dead, err
	})
	trialOutcomes(ctx, tx, try, request.Name)
	try("delete the lease", func() (bool, error) { n, err := deleteLease(ctx, tx, id); return n == 1, err })
	try("read the list", func() (bool, error) { _, err := list(ctx, tx, r, request.Key, false, 1); return true, err })
	try("bury leases", func() (bool, error) { _, err := exec(ctx, tx, sqlBuryExpired, int64(0)); return true, err })
	try("purge waiters", func() (bool, error) { _, err := exec(ctx, tx, sqlPurgeWaiters, int64(0)); return true, err })
	try("purge outcomes", func() (bool, error) { _, err := exec(ctx, tx, sqlPurgeOutcomes, int64(0)); return true, err })
	try("purge locks", func() (bool, error) { _, err := exec(ctx, tx, sqlPurge, int64(0), int64(0)); return true, err })
}

func trialOutcomes(ctx context.Context, tx *sql.Tx, try engine.Try, name string) {
	done := dialect.Done{Name: name, Fence: 1, Keep: time.Hour}
	try("claim an outcome", func() (bool, error) { o, err := claimOutcome(ctx, tx, name); return !o.Kept, err })
	try("settle it", func() (bool, error) {
		o, _, err := writeOutcome(ctx, tx, sqlSettleOutcome, done)
		return o.Kept, err
	})
	try("recall it", func() (bool, error) { o, err := recall(ctx, tx, name); return o.Kept && o.Fence == 1, err })
	done.Name = "sqllock probe " + rand.Text()
	try("remember one", func() (bool, error) { o, err := remember(ctx, tx, done); return o.Kept, err })
}

// explain adds what to do about an error that only the operator can mend.
func (d *Dialect) explain(err error) error {
	switch class, n := d.Classify(err), number(err); {
	case class == dialect.ReadOnly:
		return fmt.Errorf("this database takes no writes and may be a secondary; connect to the primary, without "+
			"ApplicationIntent=ReadOnly: %w", err)
	case class == dialect.NoSchema:
		return fmt.Errorf("a table or column of sqllock is missing from the user's default schema; "+
			"run: sqllock-migrate up: %w", err)
	case n == 229 || n == 230: // permission denied on an object, on a column
		return fmt.Errorf("this user needs SELECT, INSERT, UPDATE and DELETE on sqllock_leases, sqllock_locks, "+
			"sqllock_waiters and sqllock_outcomes, and SELECT on sqllock_schema_migrations: %w", err)
	case n == 334: // OUTPUT, which says what a statement did, and a trigger don't go together
		return fmt.Errorf("%w: there is a trigger on one of sqllock's tables; drop it: %w", dialect.ErrUnsupported, err)
	}
	return err
}
