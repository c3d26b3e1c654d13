package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
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
		err = d.tryAll(ctx)
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
	_, err := query(ctx, d.pool, func(rows *sql.Rows) (_ struct{}, err error) {
		return struct{}{}, rows.Scan(&server.Version, &clockType, &file, &server.Versioned)
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
	_, err = query(ctx, d.pool, func(rows *sql.Rows) (_ struct{}, err error) {
		var version int64
		err = rows.Scan(&version, &server.Dirty)
		server.Schema = uint(max(version, 0))
		return struct{}{}, err
	}, d.sql.schema)
	return server, err
}

// tryAll runs every statement, the sweeping ones with a limit of no rows.
func (d *Dialect) tryAll(ctx context.Context) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()

	id := rand.Text()
	r := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	owned := dialect.Claim{Key: r.Key, Owner: r.Owner}
	var grant dialect.Grant
	steps := []struct {
		what string
		try  func() (bool, error)
	}{
		{"create a lease", func() (bool, error) {
			return true, d.createLease(ctx, tx, dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour})
		}},
		{"renew it", func() (bool, error) { return d.renewLease(ctx, tx, id) }},
		{"acquire a lock", func() (bool, error) { grant, err = d.acquire(ctx, tx, r); return grant.Granted, err }},
		{"guard it", func() (bool, error) { return d.claim(ctx, tx, d.sql.guard, owned) }},
		{"release it", func() (bool, error) { return d.claim(ctx, tx, d.sql.release, owned) }},
		{"acquire it again", func() (bool, error) { grant, err = d.acquire(ctx, tx, r); return grant.Granted, err }},
		{"look at it", func() (bool, error) {
			row, err := d.look(ctx, tx, r.Key)
			return row.Lease == dialect.LeaseLive && row.Fence == grant.Fence, err
		}},
		{"free it", func() (bool, error) {
			return d.free(ctx, tx, dialect.Orphan{Key: r.Key, Fence: grant.Fence, LeaseID: id})
		}},
		{"see the lease alive", func() (bool, error) { b, err := d.buryLease(ctx, tx, id); return !b.Dead, err }},
		{"delete the lease", func() (bool, error) { n, err := count(ctx, tx, d.sql.deleteLease, id); return n == 1, err }},
		{"read the list", func() (bool, error) { _, err := d.list(ctx, tx, r.Key, false, 1); return true, err }},
		{"bury leases", func() (bool, error) { _, err := count(ctx, tx, d.sql.buryExpired, 0); return true, err }},
		{"purge locks", func() (bool, error) { _, err := count(ctx, tx, d.sql.purge, 0, 0); return true, err }},
	}
	for _, step := range steps {
		worked, err := step.try()
		if err == nil && !worked {
			err = fmt.Errorf("%w: the statement ran and had no effect; is there a trigger on sqllock's tables?",
				dialect.ErrUnsupported)
		}
		if err != nil {
			return fmt.Errorf("tried to %s: %w", step.what, err)
		}
	}
	return tx.Rollback()
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
