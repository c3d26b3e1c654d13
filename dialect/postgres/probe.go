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
	"github.com/sqllock/sqllock/internal/engine"
)

// Probe tries whether this database can serve locks: it runs the statements themselves, on a lease and a lock of its
// own, in a transaction that it rolls back. It blocks until the server answers or ctx ends.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	d.learn(ctx)
	if err := dialect.CheckDB(d.db); err != nil {
		return dialect.Server{}, fail("probe", err)
	}
	server, err := d.readServer(ctx)
	if err == nil {
		err = engine.Trial(ctx, d.db, "a trigger, a rule or a row-level security policy on sqllock's tables",
			func(tx *sql.Tx, try engine.Try) { trial(ctx, tx, try) })
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
	_, err = query(ctx, d.pool, engine.ScanSchema(&server), sqlSchema)
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

// trial tries every statement that names rows; those that sweep the tables would lock other people's.
func trial(ctx context.Context, tx *sql.Tx, try engine.Try) {
	id := rand.Text()
	request := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	claim := dialect.Claim{Key: request.Key, Owner: request.Owner}
	lease := dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour}
	var grant dialect.Grant
	try("create a lease", func() (bool, error) { return true, createLease(ctx, tx, lease) })
	try("renew it", func() (bool, error) { return renewLease(ctx, tx, id) })
	try("acquire a lock", func() (_ bool, err error) { grant, err = acquire(ctx, tx, request); return grant.Granted, err })
	try("guard it", func() (bool, error) { return guard(ctx, tx, claim) })
	trialQueue(ctx, tx, try, request)
	try("release it", func() (bool, error) { return release(ctx, tx, claim) })
	try("acquire it again", func() (_ bool, err error) { grant, err = acquire(ctx, tx, request); return grant.Granted, err })
	try("look at it", func() (bool, error) {
		rows, err := look(ctx, tx, []dialect.Key{request.Key})
		return err == nil && rows[0].Lease == dialect.LeaseLive && rows[0].Fence == grant.Fence, err
	})
	try("free it", func() (bool, error) {
		return free(ctx, tx, dialect.Orphan{Key: request.Key, Fence: grant.Fence, LeaseID: id})
	})
	try("see the lease alive", func() (bool, error) {
		burials, err := buryLeases(ctx, tx, []string{id})
		return err == nil && !burials[0].Dead, err
	})
	trialOutcomes(ctx, tx, try, request.Name)
	try("delete the lease", func() (bool, error) { return true, deleteLeases(ctx, tx, []string{id}) })
	try("read the list", func() (bool, error) { _, err := list(ctx, tx, request.Key, false, 1); return true, err })
	try("bury leases", func() (bool, error) { _, err := exec(ctx, tx, sqlBuryExpired, int64(0)); return true, err })
	try("purge waiters", func() (bool, error) { _, err := exec(ctx, tx, sqlPurgeWaiters, int64(0)); return true, err })
	try("purge outcomes", func() (bool, error) { _, err := exec(ctx, tx, sqlPurgeOutcomes, int64(0)); return true, err })
	try("purge locks", func() (bool, error) { _, err := exec(ctx, tx, sqlPurge, int64(0), int64(0)); return true, err })
}

// trialQueue hands a lock over, to itself: the message goes nowhere, since the transaction is rolled back.
func trialQueue(ctx context.Context, tx *sql.Tx, try engine.Try, held dialect.Request) {
	waiter := dialect.Waiter{Request: held, Channel: "sqllock_probe", Holds: held.Owner}
	waiter.Owner = rand.Text()
	claim := dialect.Claim{Key: held.Key, Owner: waiter.Owner}
	try("wait for it", func() (bool, error) {
		place, err := enqueue(ctx, tx, waiter)
		return place.First, err
	})
	try("see who waits", func() (bool, error) {
		waiting, err := queue(ctx, tx, held.Key, 1)
		return len(waiting) == 1 && waiting[0].Owner == waiter.Owner, err
	})
	try("see who holds what", func() (bool, error) { _, err := holding(ctx, tx, 0, 0); return true, err })
	try("hand over what is free", func() (bool, error) {
		handed, err := handFree(ctx, tx, dialect.Claim{Key: held.Key, Owner: held.Owner})
		return !handed, err
	})
	try("hand it over", func() (bool, error) {
		_, handed, err := handOver(ctx, tx, dialect.Claim{Key: held.Key, Owner: held.Owner})
		return handed, err
	})
	try("leave the queue, where the lock is", func() (bool, error) {
		waits, err := dequeue(ctx, tx, claim)
		return !waits, err
	})
	try("pass it on", func() (bool, error) {
		grant, err := pass(ctx, tx, dialect.Pass{Claim: claim, Next: held})
		return grant.Granted, err
	})
}

func trialOutcomes(ctx context.Context, tx *sql.Tx, try engine.Try, name string) {
	done := dialect.Done{Name: name, Fence: 1, Keep: time.Hour}
	try("claim an outcome", func() (bool, error) { o, err := claimOutcome(ctx, tx, name); return !o.Kept, err })
	try("settle it", func() (bool, error) { o, err := settleOutcome(ctx, tx, done); return o.Kept, err })
	try("recall it", func() (bool, error) { o, err := recall(ctx, tx, name); return o.Kept && o.Fence == 1, err })
	try("remember the first one", func() (bool, error) {
		done.Fence = 2
		o, err := remember(ctx, tx, done)
		return o.Fence == 1, err
	})
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
		return fmt.Errorf("this role needs SELECT, INSERT, UPDATE and DELETE on sqllock_leases, sqllock_locks, sqllock_waiters and "+
			"sqllock_outcomes, and SELECT on sqllock_schema_migrations: %w", err)
	}
	return err
}
