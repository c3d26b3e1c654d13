package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Probe tries whether this database can serve locks. It runs the statements themselves, on a lease
// and a lock of its own, in a transaction that it rolls back. Then two sessions compete for a row,
// which Probe commits for that purpose and removes again. Probe blocks until the server responds or
// ctx ends.
func (d *Dialect) Probe(ctx context.Context) (dialect.Server, error) {
	if err := d.pool.source.check(); err != nil {
		return dialect.Server{}, fail("probe", err)
	}
	if _, err := d.pool.inspect(ctx); err != nil { // again, because a pooler may have come between
		return dialect.Server{}, fail("probe", d.explain(err))
	}
	server, err := d.readServer(ctx)
	if err == nil {
		err = d.tryStatements(ctx)
	}
	if err != nil {
		return dialect.Server{}, fail("probe", d.explain(err))
	}
	return server, nil
}

// maxConflicts is how often in a row the trial may conflict with other transactions. Under
// SERIALIZABLE, which CockroachDB has by default, it does so beside busy clients.
const maxConflicts = 10

// tryStatements runs the statements of the server's flavour, and lets two sessions compete.
func (d *Dialect) tryStatements(ctx context.Context) error {
	f, err := d.flavour(ctx, d.pool)
	if err != nil {
		return err
	}
	for range maxConflicts {
		if err = d.tryFlavour(ctx, f); !conflict(err) {
			break
		}
	}
	return err
}

// conflict reports whether the server refused a transaction because of another one.
func conflict(err error) bool {
	var withState interface{ SQLState() string }
	return errors.As(err, &withState) && (withState.SQLState() == "40001" || withState.SQLState() == "40P01")
}

func (d *Dialect) tryFlavour(ctx context.Context, f *flavour) error {
	err := engine.Trial(ctx, d.pool.source, "a trigger, a rule or a row-level security policy on sqllock's tables",
		func(tx engine.Session, try engine.Try) { f.trial(ctx, d.pool.in(ctx, tx), try) })
	if err != nil {
		return err
	}
	return f.rivals(d.pool).Compete(ctx)
}

// readServer finds out the server's product and version, and which migrations have been applied.
func (d *Dialect) readServer(ctx context.Context) (dialect.Server, error) {
	var server dialect.Server
	var encoding encodings
	found, err := query(ctx, d.pool, func(rows dialect.Rows, versioned *bool) error {
		var banner, number string
		err := rows.Scan(&banner, &number, versioned, &encoding.client, &encoding.server)
		server.Product, server.Version = product(banner, number)
		return err
	}, sqlServer)
	if err == nil {
		err = encoding.check()
	}
	if err != nil || len(found) == 0 || !found[0] {
		return server, err
	}
	server.Versioned = true
	if err = engine.ReadSchema(ctx, d.pool, &server, sqlSchema); err != nil {
		return server, err
	}
	err = engine.ReadCompatible(ctx, d.pool, &server, d.SchemaVersion(), sqlCompatible, d.noTable)
	return server, err
}

// encodings are the encodings of a session: the client's and the server's.
type encodings struct{ client, server string }

// check refuses sessions whose text the server converts. They send UTF-8, so a name with other than
// ASCII characters would be another name to them than to sessions that declare UTF-8. SQL_ASCII
// converts nothing.
func (e encodings) check() error {
	raw := e.client == "SQL_ASCII" && e.server == "UTF8"
	if e.client == "UTF8" || e.server == "SQL_ASCII" || raw {
		return nil
	}
	return fmt.Errorf("%w: client_encoding is %s in the sessions of this pool, and the same name would be another "+
		"lock to clients with UTF8: set client_encoding=UTF8 where they connect, or for the role or the database",
		dialect.ErrInvalid, e.client)
}

const postgreSQL = "PostgreSQL"

// product distinguishes PostgreSQL from servers that speak its protocol: for messages, and for the
// flavour. What a server can do is found out by trying. number is server_version, and may be empty
// if only the name is wanted.
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
	case strings.Contains(banner, "-YB-"), strings.Contains(number, "-YB-"): // "11.2-YB-2.20.1.0-b0"
		return "YugabyteDB", version
	}
	return postgreSQL, version
}

// rivals returns the statements with which two sessions compete for a row of Probe.
func (f *flavour) rivals(p *pool) engine.Rivals {
	return engine.Rivals{
		Conns: p.source,
		CreateLease: func(ctx context.Context, s engine.Session, lease dialect.Lease) error {
			return createLease(ctx, sending{s, p}, lease)
		},
		Insert: through(p, acquire), AdvanceFence: through(p, advanceFence), Release: through(p, f.release),
		Take: through(p, acquire), Guard: through(p, f.guardLock), Free: through(p, free),
		Remove: func(ctx context.Context, s engine.Session, lock, lease string) error {
			s = sending{s, p}
			if _, err := exec(ctx, s, sqlRemoveLock, lock); err != nil {
				return err
			}
			return deleteLeases(ctx, s, []string{lease})
		},
	}
}

// through returns f with its statements sent in the query mode that the pool's connections need.
func through[In, Out any](
	p *pool, f func(context.Context, engine.Session, In) (Out, error),
) func(context.Context, engine.Session, In) (Out, error) {
	return func(ctx context.Context, s engine.Session, in In) (Out, error) { return f(ctx, sending{s, p}, in) }
}

// trial tries every statement. Those that scan the tables run with a limit of 0, because they would
// lock other clients' rows.
func (f *flavour) trial(ctx context.Context, s engine.Session, try engine.Try) {
	id := rand.Text()
	request := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + id}, LeaseID: id, Owner: id}
	claim := dialect.Claim{Key: request.Key, Owner: request.Owner}
	lease := dialect.Lease{ID: id, Holder: "sqllock probe", TTL: time.Hour}
	var grant dialect.Grant
	try("create a lease", func() (bool, error) { return true, createLease(ctx, s, lease) })
	try("renew it", func() (bool, error) { return renewLease(ctx, s, id) })
	acquireIt := func() (_ bool, err error) {
		grant, err = acquire(ctx, s, request)
		return grant.Granted, err
	}
	try("acquire a lock", acquireIt)
	try("guard it", func() (bool, error) { return f.guardLock(ctx, s, claim) })
	f.trialQueue(ctx, s, try, request)
	try("release it", func() (bool, error) { return f.release(ctx, s, claim) })
	try("acquire it again", acquireIt)
	try("read it", func() (bool, error) {
		rows, err := getRow(ctx, s, f.get, []dialect.Key{request.Key})
		return err == nil && rows[0].Lease == dialect.LeaseLive && rows[0].Fence == grant.Fence, err
	})
	try("free it", func() (bool, error) {
		return free(ctx, s, dialect.DeadHolder{Key: request.Key, Fence: grant.Fence, LeaseID: id})
	})
	try("see the lease alive", func() (bool, error) {
		expiries, err := f.expireLeases(ctx, s, []string{id}, nil)
		return err == nil && !expiries[0].Dead, err
	})
	try("end its bar", func() (bool, error) {
		ended, err := endBar(ctx, s, dialect.Bar{Key: request.Key, Fence: grant.Fence})
		return !ended, err
	})
	try("read overlong leases", func() (bool, error) {
		_, err := exec(ctx, s, sqlOverlong, int64(0))
		return true, err
	})
	f.trialMany(ctx, s, try, id)
	f.trialOutcomes(ctx, s, try, request.Name)
	try("acquire it once more", acquireIt)
	f.trialBreaks(ctx, s, try, claim)
	try("delete the lease", func() (bool, error) { return true, deleteLeases(ctx, s, []string{id}) })
	try("read the list", func() (bool, error) {
		_, err := list(ctx, s, f.list, request.Key, false, 1)
		return true, err
	})
	try("delete expired leases", func() (bool, error) {
		_, err := exec(ctx, s, sqlDeleteExpired, int64(0), int64(0))
		return true, err
	})
	try("purge waiters", func() (bool, error) { _, err := exec(ctx, s, sqlPurgeWaiters, int64(0)); return true, err })
	try("purge outcomes", func() (bool, error) { _, err := exec(ctx, s, sqlPurgeOutcomes, int64(0)); return true, err })
	try("purge breaks", func() (bool, error) {
		_, err := exec(ctx, s, sqlPurgeBreaks, int64(0), int64(0))
		return true, err
	})
	try("purge locks", func() (bool, error) { _, err := exec(ctx, s, sqlPurge, int64(0), int64(0)); return true, err })
}

// trialQueue hands a lock over to its own waiter. The message isn't sent, because the transaction
// is rolled back.
func (f *flavour) trialQueue(ctx context.Context, s engine.Session, try engine.Try, held dialect.Request) {
	waiter := dialect.Waiter{Request: held, Channel: "sqllock_probe", Holds: held.Owner}
	waiter.Owner = rand.Text()
	claim := dialect.Claim{Key: held.Key, Owner: waiter.Owner}
	try("queue for it", func() (bool, error) {
		position, err := enqueue(ctx, s, waiter)
		return position.First, err
	})
	try("read the queue", func() (bool, error) {
		waiting, err := queue(ctx, s, held.Key, 1)
		return len(waiting) == 1 && waiting[0].Owner == waiter.Owner, err
	})
	try("read the waiting holders", func() (bool, error) { _, err := waitingHolders(ctx, s, 0, 0); return true, err })
	holder := dialect.Claim{Key: held.Key, Owner: held.Owner}
	if f.plain {
		try("leave the queue", func() (bool, error) { return dequeue(ctx, s, claim) })
		try("transfer it to the waiter", func() (bool, error) {
			grant, err := transfer(ctx, s, dialect.Transfer{Claim: holder, Next: waiter.Request})
			return grant.Granted, err
		})
	} else {
		trialHandOver(ctx, s, try, holder, claim)
	}
	try("transfer it", func() (bool, error) {
		grant, err := transfer(ctx, s, dialect.Transfer{Claim: claim, Next: held})
		return grant.Granted, err
	})
}

// trialHandOver hands the lock over from its holder to the only waiter.
func trialHandOver(ctx context.Context, s engine.Session, try engine.Try, holder, waiter dialect.Claim) {
	try("hand over a free lock", func() (bool, error) {
		handed, err := handFree(ctx, s, holder)
		return !handed, err
	})
	try("hand it over", func() (bool, error) {
		_, handed, err := handOver(ctx, s, holder)
		return handed, err
	})
	try("leave the queue after the hand-over", func() (bool, error) {
		waits, err := dequeue(ctx, s, waiter)
		return !waits, err
	})
}

// trialMany tries the statements for several locks.
func (f *flavour) trialMany(ctx context.Context, s engine.Session, try engine.Try, lease string) {
	requests := make([]dialect.Request, 2)
	waiters, claims := make([]dialect.Waiter, len(requests)), make([]dialect.Claim, len(requests))
	for i := range requests {
		r := dialect.Request{Key: dialect.Key{Name: "sqllock probe " + rand.Text()}, LeaseID: lease, Owner: rand.Text()}
		requests[i], claims[i] = r, dialect.Claim{Key: r.Key, Owner: r.Owner}
		waiters[i].Request = r
	}
	try("acquire two locks", func() (bool, error) {
		grants, err := acquireMany(ctx, s, requests)
		return err == nil && grants[0].Granted && grants[1].Granted, err
	})
	try("acquire them again", func() (bool, error) {
		grants, err := acquireMany(ctx, s, requests)
		return err == nil && grants[0].Granted && grants[1].Granted, err
	})
	try("queue for both", func() (bool, error) {
		positions, err := enqueueMany(ctx, s, waiters)
		return err == nil && positions[0].First && positions[1].First, err
	})
	try("release both", func() (bool, error) {
		released, err := f.releaseAll(ctx, s, claims)
		return len(released) == len(claims), err
	})
}

func (f *flavour) trialOutcomes(ctx context.Context, s engine.Session, try engine.Try, name string) {
	done := dialect.Done{Name: name, Fence: 1, Keep: time.Hour}
	try("claim an outcome", func() (bool, error) { o, err := claimOutcome(ctx, s, name); return !o.Kept, err })
	try("remember it", func() (bool, error) { o, err := rememberTx(ctx, s, done); return o.Kept, err })
	try("recall it", func() (bool, error) { o, err := f.recalled(ctx, s, name); return o.Kept && o.Fence == 1, err })
	try("keep the first outcome", func() (bool, error) {
		done.Fence = 2
		o, err := f.remember(ctx, s, done)
		return o.Fence == 1, err
	})
}

func (f *flavour) trialBreaks(ctx context.Context, s engine.Session, try engine.Try, claim dialect.Claim) {
	b := dialect.Break{Claim: claim, ID: rand.Text()}
	try("break it", func() (bool, error) { return f.breakStatements(b).Run(ctx, s) })
	try("find it broken", func() (bool, error) { return f.breakStatements(b).Run(ctx, s) })
	try("list its breaks", func() (bool, error) {
		broken, err := listBreaks(ctx, s, b.Name, 1)
		return len(broken) == 1 && broken[0].ID == b.ID, err
	})
}

// noTable reports whether err says that a table is missing.
func (d *Dialect) noTable(err error) bool { return d.Classify(err) == dialect.ClassNoSchema }

// explain adds what to do about an error that only the operator can fix.
func (d *Dialect) explain(err error) error {
	var withState interface{ SQLState() string }
	switch class := d.Classify(err); {
	case class == dialect.ClassReadOnly:
		return fmt.Errorf("this server takes no writes; connect to the primary "+
			"(for pgx and lib/pq: target_session_attrs=read-write): %w", err)
	case class == dialect.ClassNoSchema:
		return fmt.Errorf("a table or column of sqllock is missing from search_path; "+
			"run: sqllock-migrate own up: %w", err)
	case errors.As(err, &withState) && withState.SQLState() == "42501":
		return fmt.Errorf("this role needs SELECT, INSERT, UPDATE and DELETE on sqllock_leases, sqllock_locks, "+
			"sqllock_waiters and sqllock_outcomes, SELECT, INSERT and DELETE on sqllock_breaks, and SELECT on "+
			"sqllock_schema_migrations and sqllock_schema: %w", err)
	}
	return err
}
