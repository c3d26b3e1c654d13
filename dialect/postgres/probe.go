package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Probe tries whether this database can serve locks: it runs the statements themselves, on a lease and a lock of its
// own, in a transaction that it rolls back. It blocks until the server answers or ctx ends.
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

// readServer finds out who answers, and which migrations have been applied.
func (d *Dialect) readServer(ctx context.Context) (dialect.Server, error) {
	var server dialect.Server
	found, err := query(ctx, d.pool, func(rows *sql.Rows, versioned *bool) error {
		var banner, number string
		err := rows.Scan(&banner, &number, versioned)
		server.Product, server.Version = product(banner, number)
		return err
	}, sqlServer)
	if err != nil || len(found) == 0 || !found[0] {
		return server, err
	}
	server.Versioned = true
	_, err = query(ctx, d.pool, func(rows *sql.Rows, version *int64) error {
		err := rows.Scan(version, &server.Dirty)
		server.Schema = uint(max(*version, 0))
		return err
	}, sqlSchema)
	return server, err
}

// product tells the look-alikes apart, for messages only: what they can do is found by trying.
func product(banner, number string) (name, version string) {
	version, _, _ = strings.Cut(number, " ") // "15.18 (Debian 15.18-0+deb12u1)"
	switch {
	case strings.HasPrefix(banner, "CockroachDB"): // "CockroachDB CCL v24.1.0 (…)"
		for word := range strings.FieldsSeq(banner) {
			if number, ok := strings.CutPrefix(word, "v"); ok {
				return "CockroachDB", number
			}
		}
		return "CockroachDB", version
	case strings.Contains(number, "-YB-"): // "11.2-YB-2.20.1.0-b0"
		return "YugabyteDB", version
	}
	return "PostgreSQL", version
}

// tryAll runs every statement that names rows; those that sweep the tables would lock other people's.
func (d *Dialect) tryAll(ctx context.Context) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()

	id := rand.Text()
	request := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	claim := dialect.Claim{Key: request.Key, Owner: request.Owner}
	lease := dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour}
	var grant dialect.Grant
	steps := []struct {
		what string
		try  func() (bool, error)
	}{
		{"create a lease", func() (bool, error) { return true, createLease(ctx, tx, lease) }},
		{"renew it", func() (bool, error) { return renewLease(ctx, tx, id) }},
		{"acquire a lock", func() (bool, error) { grant, err = acquire(ctx, tx, request); return grant.Granted, err }},
		{"guard it", func() (bool, error) { return guard(ctx, tx, claim) }},
		{"release it", func() (bool, error) { return release(ctx, tx, claim) }},
		{"acquire it again", func() (bool, error) { grant, err = acquire(ctx, tx, request); return grant.Granted, err }},
		{"look at it", func() (bool, error) {
			rows, err := look(ctx, tx, []dialect.Key{request.Key})
			return err == nil && rows[0].Lease == dialect.LeaseLive && rows[0].Fence == grant.Fence, err
		}},
		{"free it", func() (bool, error) {
			return free(ctx, tx, dialect.Orphan{Key: request.Key, Fence: grant.Fence, LeaseID: id})
		}},
		{"see the lease alive", func() (bool, error) {
			burials, err := buryLeases(ctx, tx, []string{id})
			return err == nil && !burials[0].Dead, err
		}},
		{"delete the lease", func() (bool, error) { return true, deleteLeases(ctx, tx, []string{id}) }},
		{"read the list", func() (bool, error) { _, err := list(ctx, tx, request.Key, false, 1); return true, err }},
		{"bury leases", func() (bool, error) { _, err := exec(ctx, tx, sqlBuryExpired, int64(0)); return true, err }},
		{"purge locks", func() (bool, error) { _, err := exec(ctx, tx, sqlPurge, int64(0), int64(0)); return true, err }},
	}
	for _, step := range steps {
		worked, err := step.try()
		if err == nil && !worked {
			err = fmt.Errorf("%w: the statement ran and had no effect; is there a trigger, a rule or a row-level "+
				"security policy on sqllock's tables?", dialect.ErrUnsupported)
		}
		if err != nil {
			return fmt.Errorf("tried to %s: %w", step.what, err)
		}
	}
	return tx.Rollback()
}

// explain adds what to do about an error that only the operator can mend.
func (d *Dialect) explain(err error) error {
	var answer interface{ SQLState() string }
	switch class := d.Classify(err); {
	case class == dialect.ReadOnly:
		return fmt.Errorf("this server takes no writes; connect to the primary "+
			"(for pgx and lib/pq: target_session_attrs=read-write): %w", err)
	case class == dialect.NoSchema:
		return fmt.Errorf("a table or column of sqllock is missing from search_path; run: sqllock-migrate up: %w", err)
	case errors.As(err, &answer) && answer.SQLState() == "42501":
		return fmt.Errorf("this role needs SELECT, INSERT, UPDATE and DELETE on sqllock_leases and sqllock_locks, and "+
			"SELECT on sqllock_schema_migrations: %w", err)
	}
	return err
}
