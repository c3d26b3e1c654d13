package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Probe tries whether this database can serve locks: it runs the statements themselves, on a lease and a lock of its
// own, in a transaction that it rolls back. It takes the write lock for that, so it may find the database busy, which
// is Transient. A database in memory or a temporary one is refused: it isn't shared, or ends with its last connection.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return dialect.Server{}, fail("probe", err)
	}
	server, err := d.readServer(ctx)
	if err == nil {
		err = engine.Trial(ctx, d.db, "a trigger on sqllock's tables", func(tx *sql.Tx, try engine.Try) { d.trial(ctx, tx, try) })
	}
	if err != nil {
		return dialect.Server{}, fail("probe", d.explain(err))
	}
	return server, nil
}

// readServer finds out what SQLite this is, where the database is, and which migrations have been applied.
func (d *Dialect) readServer(ctx context.Context) (dialect.Server, error) {
	var file, clockType string
	server := dialect.Server{Product: "SQLite"}
	_, err := engine.Query(ctx, d.pool, func(rows *sql.Rows, _ *struct{}) error {
		return rows.Scan(&server.Version, &clockType, &file, &server.Versioned)
	}, d.sql.server)
	switch {
	case err != nil:
		return server, err
	case clockType != "integer":
		return server, fmt.Errorf("%w: SQLite %s has no clock with fractions of a second (unixepoch('subsec')); 3.42 is the "+
			"first that has", dialect.ErrUnsupported, server.Version)
	case file == "":
		return server, fmt.Errorf("%w: this database is in memory or temporary, so other connections don't share it or it "+
			"ends with the last of them; name a file (in tests: one in t.TempDir(), or package sqllocktest)", dialect.ErrInvalid)
	case !server.Versioned:
		return server, nil
	}
	_, err = engine.Query(ctx, d.pool, engine.ScanSchema(&server), d.sql.schema)
	return server, err
}

// trial tries every statement, the sweeping ones with a limit of no rows.
func (d *Dialect) trial(ctx context.Context, tx *sql.Tx, try engine.Try) {
	id := rand.Text()
	r := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	owned := dialect.Claim{Key: r.Key, Owner: r.Owner}
	next := dialect.Request{Key: r.Key, LeaseID: id, Owner: rand.Text()}
	var grant dialect.Grant
	try("create a lease", func() (bool, error) {
		return true, d.createLease(ctx, tx, dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour})
	})
	try("renew it", func() (bool, error) { return d.renewLease(ctx, tx, id) })
	try("acquire a lock", func() (_ bool, err error) { grant, err = d.acquire(ctx, tx, r); return grant.Granted, err })
	try("guard it", func() (bool, error) { return d.claim(ctx, tx, d.sql.guard, owned) })
	try("release it", func() (bool, error) { return d.claim(ctx, tx, d.sql.release, owned) })
	try("acquire it again", func() (_ bool, err error) { grant, err = d.acquire(ctx, tx, r); return grant.Granted, err })
	try("look at it", func() (bool, error) {
		row, err := d.look(ctx, tx, r.Key)
		return row.Lease == dialect.LeaseLive && row.Fence == grant.Fence, err
	})
	try("wait for it", func() (bool, error) {
		place, err := d.enqueue(ctx, tx, dialect.Waiter{Request: next, Holds: id})
		return place.First, err
	})
	try("read its queue", func() (bool, error) {
		waiting, err := d.queue(ctx, tx, r.Key, 1)
		return len(waiting) == 1 && waiting[0].Owner == next.Owner, err
	})
	try("see who holds what", func() (bool, error) { _, err := d.holding(ctx, tx, 0, 0); return true, err })
	try("pass it on", func() (_ bool, err error) {
		grant, err = d.pass(ctx, tx, dialect.Pass{Claim: owned, Next: next})
		return grant.Granted, err
	})
	try("leave its queue", func() (bool, error) {
		return d.claim(ctx, tx, d.sql.dequeue, dialect.Claim{Key: r.Key, Owner: next.Owner})
	})
	d.trialOutcomes(ctx, tx, try, r.Name)
	try("free it", func() (bool, error) {
		return d.free(ctx, tx, dialect.Orphan{Key: r.Key, Fence: grant.Fence, LeaseID: id})
	})
	try("see the lease alive", func() (bool, error) { b, err := d.buryLease(ctx, tx, id); return !b.Dead, err })
	try("delete the lease", func() (bool, error) { n, err := engine.Exec(ctx, tx, d.sql.deleteLease, id); return n == 1, err })
	try("read the list", func() (bool, error) { _, err := d.list(ctx, tx, r.Key, false, 1); return true, err })
	try("bury leases", func() (bool, error) { _, err := engine.Exec(ctx, tx, d.sql.buryExpired, 0); return true, err })
	try("purge waiters", func() (bool, error) { _, err := engine.Exec(ctx, tx, d.sql.purgeWaiters, 0); return true, err })
	try("purge outcomes", func() (bool, error) { _, err := engine.Exec(ctx, tx, d.sql.purgeOutcomes, 0); return true, err })
	try("purge locks", func() (bool, error) { _, err := engine.Exec(ctx, tx, d.sql.purge, 0, 0); return true, err })
}

func (d *Dialect) trialOutcomes(ctx context.Context, tx *sql.Tx, try engine.Try, name string) {
	done := dialect.Done{Name: name, Fence: 1, Keep: time.Hour}
	try("claim an outcome", func() (bool, error) { o, err := d.claimOutcome(ctx, tx, name); return !o.Kept, err })
	try("settle it", func() (bool, error) { o, err := d.settleOutcome(ctx, tx, done); return o.Kept, err })
	try("recall it", func() (bool, error) { o, err := d.recall(ctx, tx, name); return o.Kept && o.Fence == 1, err })
	try("remember the first one", func() (bool, error) {
		done.Fence = 2
		o, err := d.remember(ctx, tx, done)
		return o.Fence == 1, err
	})
}

// explain adds what to do about an error that only the operator can mend.
func (d *Dialect) explain(err error) error {
	code, _ := codeOf(err)
	switch class := d.Classify(err); {
	case class == dialect.ReadOnly:
		return fmt.Errorf("the database is read-only: look at the permissions of the file and of its directory, and for "+
			"mode=ro, immutable or query_only where it is opened: %w", err)
	case class == dialect.NoSchema:
		return fmt.Errorf("a table or column of sqllock is missing; run: sqllock-migrate up: %w", err)
	case code == codeCantOpen:
		return fmt.Errorf("the file can't be opened: is its directory there, and may this user write to it? %w", err)
	}
	return err
}
