package mysql

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Probe tries whether this database can serve locks: it looks at the session's settings, and runs the statements
// themselves, on a lease and a lock of its own, in a transaction that it rolls back. It blocks until the server answers
// or ctx ends.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return dialect.Server{}, fail("probe", err)
	}
	d.server.Store(nil) // ask again: the address may have become another server's
	server, err := d.readServer(ctx)
	if err == nil {
		err = d.tryAll(ctx)
	}
	if err != nil {
		return dialect.Server{}, fail("probe", d.explain(err))
	}
	return server, nil
}

// tryAll runs every statement that names a row; those that sweep the tables only read. A row is inserted before
// anything looks for it: looking for a row that isn't there would lock the gap, and two probes would deadlock.
func (d *Dialect) tryAll(ctx context.Context) error {
	f, err := d.flavour(ctx)
	if err != nil {
		return err
	}
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()

	for _, step := range trial(ctx, tx, f) {
		worked, err := step.try()
		if err == nil && !worked {
			err = fmt.Errorf("%w: the statement ran and had no effect; is there a trigger or a view in place of sqllock's "+
				"tables?", dialect.ErrUnsupported)
		}
		if err != nil {
			return fmt.Errorf("tried to %s: %w", step.what, err)
		}
	}
	return tx.Rollback()
}

type step struct {
	what string
	try  func() (bool, error)
}

func trial(ctx context.Context, tx session, f flavour) []step {
	id := rand.Text()
	r := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	claim := dialect.Claim{Key: r.Key, Owner: r.Owner}
	over := dialect.Lease{ID: rand.Text(), Holder: "sqllock probe"}
	another := dialect.Lease{ID: rand.Text(), Holder: "sqllock probe"}
	var grant dialect.Grant
	return []step{
		{"create a lease", func() (bool, error) {
			return true, createLease(ctx, tx, dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour})
		}},
		{"renew it", func() (bool, error) { return renewLease(ctx, tx, id) }},
		{"make a lock", func() (_ bool, err error) { grant, err = insertLock(ctx, tx, r); return grant.Granted, err }},
		{"guard it", func() (bool, error) { return guard(ctx, tx, claim) }},
		{"release it", func() (bool, error) { return release(ctx, tx, claim) }},
		{"acquire it", func() (_ bool, err error) { grant, err = acquire(ctx, tx, f, r); return grant.Granted, err }},
		{"look at it", func() (bool, error) {
			rows, err := look(ctx, tx, []dialect.Key{r.Key})
			return err == nil && rows[0].Lease == dialect.LeaseLive && rows[0].Fence == grant.Fence, err
		}},
		{"free it", func() (bool, error) {
			return free(ctx, tx, f, dialect.Orphan{Key: r.Key, Fence: grant.Fence, LeaseID: id})
		}},
		{"purge it", func() (bool, error) { n, err := purgeLock(ctx, tx, f, r.Key, -time.Hour); return n == 1, err }},
		{"create a lease that is over", func() (bool, error) { return true, createLease(ctx, tx, over) }},
		{"bury it", func() (bool, error) { b, err := buryLease(ctx, tx, f, over.ID); return b.Dead, err }},
		{"create another", func() (bool, error) { return true, createLease(ctx, tx, another) }},
		{"reap it", func() (bool, error) { n, err := buryExpiredLease(ctx, tx, f, another.ID); return n == 1, err }},
		{"delete a lease", func() (bool, error) { n, err := exec(ctx, tx, sqlDeleteLease, id); return n == 1, err }},
		{"list locks", func() (bool, error) { _, err := list(ctx, tx, r.Key, false, 1); return true, err }},
	}
}

// explain adds what to do about an error that only the operator can mend.
func (d *Dialect) explain(err error) error {
	switch class, n := d.Classify(err), number(err); {
	case class == dialect.ReadOnly:
		return fmt.Errorf("this server takes no writes and may be a replica; connect to the primary: %w", err)
	case class == dialect.NoSchema:
		return fmt.Errorf("a table or column of sqllock is missing from this database; run: sqllock-migrate up: %w", err)
	case n == 1044 || n == erTableDenied || n == 1143: // ER_DBACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR
		return fmt.Errorf("this user needs SELECT, INSERT, UPDATE and DELETE on sqllock_leases and sqllock_locks, and "+
			"SELECT on sqllock_schema_migrations: %w", err)
	case n == 1064 || n == 1235: // ER_PARSE_ERROR, ER_NOT_SUPPORTED_YET
		return fmt.Errorf("%w: MySQL 8.0.11 or MariaDB 10.6 is needed, or later: %w", dialect.ErrUnsupported, err)
	}
	return err
}
