package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Probe tries whether this database can serve locks. It runs the statements themselves, on a lease
// and a lock of its own, in a transaction that it rolls back. It also lets a second connection
// compete for the write lock. Probe waits for that lock. It refuses a database in memory or a
// temporary one, which isn't shared or ends with its last connection.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return dialect.Server{}, fail("probe", err)
	}
	server, err := whenFree(ctx, d.file(), func() (dialect.Server, error) { return d.readServer(ctx) })
	if err == nil {
		err = d.asWriter(ctx, func(tx *sql.Tx) error {
			return engine.TrialIn(engine.OwnTx(tx), "a trigger on sqllock's tables",
				func(tx engine.Session, try engine.Try) { d.trial(ctx, tx, try) })
		})
	}
	if err == nil {
		err = d.asWriter(ctx, func(*sql.Tx) error { return d.compete(ctx) })
	}
	if err != nil {
		return dialect.Server{}, fail("probe", d.explain(err))
	}
	return server, nil
}

// compete lets a second connection try to write while the first one does. SQLite's one write lock
// is all that locks, guards and transactions have to exclude others. On some file systems, or with
// nolock=1 in the file's name, it excludes nothing.
func (d *Dialect) compete(ctx context.Context) error {
	second, err := engine.SecondConn(ctx, d.db)
	if err != nil {
		return err
	}
	defer discard(second) // its busy_timeout was changed
	if err := setBusyTimeout(ctx, second, 0); err != nil {
		return err
	}
	switch _, err := second.ExecContext(ctx, "BEGIN IMMEDIATE"); {
	case isBusy(err):
		return nil
	case err != nil:
		return fmt.Errorf("tried to write beside another connection: %w", err)
	}
	return fmt.Errorf("%w: two connections were both given the write lock: nolock=1 or vfs=unix-none is in the "+
		"file's name, or its file system has no locks", dialect.ErrUnsupported)
}

// readServer reads the version of SQLite, where the database is, and which migrations were applied.
func (d *Dialect) readServer(ctx context.Context) (dialect.Server, error) {
	var file, clockType string
	server := dialect.Server{Product: "SQLite"}
	_, err := engine.Query(ctx, d.pool, func(rows dialect.Rows, _ *struct{}) error {
		return rows.Scan(&server.Version, &clockType, &file, &server.Versioned)
	}, d.sql.server)
	if file != "" {
		d.fileName.Store(&file)
	}
	switch {
	case err != nil:
		return server, err
	case clockType != "integer":
		return server, fmt.Errorf("%w: SQLite %s has no clock with fractions of a second (unixepoch('subsec')); 3.42 "+
			"is the first that has", dialect.ErrUnsupported, server.Version)
	case file == "":
		return server, fmt.Errorf("%w: this database is in memory or temporary, so other connections don't share it "+
			"or it ends with the last of them; name a file (in tests: one in t.TempDir(), or package sqllocktest)",
			dialect.ErrInvalid)
	case !server.Versioned:
		return server, nil
	}
	if err = engine.ReadSchema(ctx, d.pool, &server, d.sql.schema); err != nil {
		return server, err
	}
	err = engine.ReadCompatible(ctx, d.pool, &server, d.SchemaVersion(), d.sql.compatible, d.noTable)
	return server, err
}

// trial tries every statement. Those that delete in bulk get a limit of no rows.
func (d *Dialect) trial(ctx context.Context, tx engine.Session, try engine.Try) {
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
	try("acquire it again", func() (_ bool, err error) {
		grant, err = d.acquire(ctx, tx, r)
		return grant.Granted, err
	})
	try("read it", func() (bool, error) {
		row, err := d.getRow(ctx, tx, r.Key)
		return row.Lease == dialect.LeaseLive && row.Fence == grant.Fence, err
	})
	try("enter its queue", func() (bool, error) {
		position, err := d.enqueue(ctx, tx, dialect.Waiter{Request: next, Holds: id})
		return position.First, err
	})
	try("read its queue", func() (bool, error) {
		waiting, err := d.queue(ctx, tx, r.Key, 1)
		return len(waiting) == 1 && waiting[0].Owner == next.Owner, err
	})
	try("read the waiting holders", func() (bool, error) {
		_, err := d.waitingHolders(ctx, tx, 0, 0)
		return true, err
	})
	try("transfer it", func() (_ bool, err error) {
		grant, err = d.transfer(ctx, tx, dialect.Transfer{Claim: owned, Next: next})
		return grant.Granted, err
	})
	try("leave its queue", func() (bool, error) {
		return d.claim(ctx, tx, d.sql.dequeue, dialect.Claim{Key: r.Key, Owner: next.Owner})
	})
	d.trialOutcomes(ctx, tx, try, r.Name)
	d.trialBreaks(ctx, tx, try, dialect.Claim{Key: r.Key, Owner: next.Owner})
	try("acquire it after that", func() (_ bool, err error) {
		grant, err = d.acquire(ctx, tx, next)
		return grant.Granted, err
	})
	try("free it", func() (bool, error) {
		return d.free(ctx, tx, dialect.DeadHolder{Key: r.Key, Fence: grant.Fence, LeaseID: id})
	})
	try("end its bar", func() (bool, error) {
		ended, err := d.endBar(ctx, tx, dialect.Bar{Key: r.Key, Fence: grant.Fence})
		return !ended, err
	})
	try("find the lease alive", func() (bool, error) {
		b, err := d.expireLease(ctx, tx, id, noRenewal)
		return !b.Dead, err
	})
	try("read overlong leases", func() (bool, error) {
		_, err := engine.Query(ctx, tx, engine.ScanRenewal, d.sql.overlong, 0)
		return true, err
	})
	try("delete the lease", func() (bool, error) {
		n, err := engine.Exec(ctx, tx, d.sql.deleteLease, id)
		return n == 1, err
	})
	try("read the list", func() (bool, error) { _, err := d.list(ctx, tx, r.Key, false, 1); return true, err })
	try("delete expired leases", func() (bool, error) {
		_, err := engine.Exec(ctx, tx, d.sql.deleteExpired, 0, 0)
		return true, err
	})
	try("purge waiters", func() (bool, error) {
		_, err := engine.Exec(ctx, tx, d.sql.purgeWaiters, 0)
		return true, err
	})
	try("purge outcomes", func() (bool, error) {
		_, err := engine.Exec(ctx, tx, d.sql.purgeOutcomes, 0)
		return true, err
	})
	try("purge breaks", func() (bool, error) {
		_, err := engine.Exec(ctx, tx, d.sql.purgeBreaks, 0, 0)
		return true, err
	})
	try("purge locks", func() (bool, error) { _, err := engine.Exec(ctx, tx, d.sql.purge, 0, 0); return true, err })
}

func (d *Dialect) trialOutcomes(ctx context.Context, tx engine.Session, try engine.Try, name string) {
	done := dialect.Done{Name: name, Fence: 1, Keep: time.Hour}
	try("claim an outcome", func() (bool, error) { o, err := d.claimOutcome(ctx, tx, name); return !o.Kept, err })
	try("remember it in the transaction", func() (bool, error) {
		o, err := d.rememberTx(ctx, tx, done)
		return o.Kept, err
	})
	try("recall it", func() (bool, error) { o, err := d.recall(ctx, tx, name); return o.Kept && o.Fence == 1, err })
	try("remember the first one", func() (bool, error) {
		done.Fence = 2
		o, err := d.remember(ctx, tx, done)
		return o.Fence == 1, err
	})
}

func (d *Dialect) trialBreaks(ctx context.Context, tx engine.Session, try engine.Try, claim dialect.Claim) {
	b := dialect.Break{Claim: claim, ID: rand.Text()}
	try("break it", func() (bool, error) { return d.breakStatements(b).Run(ctx, tx) })
	try("find it broken", func() (bool, error) { return d.breakStatements(b).Run(ctx, tx) })
	try("list its breaks", func() (bool, error) {
		broken, err := d.listBreaks(ctx, tx, b.Name, 1)
		return len(broken) == 1 && broken[0].ID == b.ID, err
	})
}

// noTable reports whether err says that a table doesn't exist.
func (d *Dialect) noTable(err error) bool { return d.Classify(err) == dialect.ClassNoSchema }

// explain adds advice to an error that only the operator can fix.
func (d *Dialect) explain(err error) error {
	code, _ := codeOf(err)
	switch class := d.Classify(err); {
	case class == dialect.ClassReadOnly:
		return fmt.Errorf("the database is read-only: check the permissions of the file and of its directory, and "+
			"look for mode=ro, immutable or query_only where it is opened: %w", err)
	case class == dialect.ClassNoSchema:
		return fmt.Errorf("a table or column of sqllock is missing; run: sqllock-migrate own up: %w", err)
	case code == codeCantOpen:
		return fmt.Errorf("the file can't be opened: is its directory there, and may this user write to it? %w", err)
	}
	return err
}
