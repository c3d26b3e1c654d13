package mysql

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Check reports what this server is, tries which kinds of lock it can serve, and names settings
// that may surprise. It opens two sessions, and writes a lease that it rolls back.
func (d *Dialect) Check(ctx context.Context) ([]dialect.Finding, error) {
	findings, err := d.check(ctx)
	return findings, fail("check", err)
}

func (d *Dialect) check(ctx context.Context) ([]dialect.Finding, error) {
	if err := dialect.CheckDB(d.db); err != nil {
		return nil, err
	}
	version, err := one(ctx, dialect.SQL(d.db), engine.One[string], sqlVersion)
	if err != nil {
		return nil, err
	}
	v, err := readVariables(ctx, dialect.SQL(d.db), sqlVariables, sqlPrepared)
	if err != nil {
		return nil, err
	}
	server := named(version, v["version_comment"])
	findings := []dialect.Finding{engine.Finding("server", server.Product+" "+server.Version, "", checkVersion(server))}
	for _, check := range []func(context.Context, variables) (dialect.Finding, error){
		d.checkWrites, d.checkCluster, d.checkSession, d.checkTx, d.checkClock, d.checkAffected,
	} {
		f, err := check(ctx, v)
		if err != nil {
			return nil, err
		}
		findings = append(findings, f)
	}
	findings = append(findings, d.churn.Finding(false))
	return append(findings, v.findings(d.db.Stats().MaxOpenConnections)...), nil
}

func (d *Dialect) checkWrites(_ context.Context, v variables) (dialect.Finding, error) {
	for _, name := range []string{"read_only", "super_read_only", "innodb_read_only"} {
		if value := v[name]; value != "" && !off(value) {
			return engine.Finding("takes writes", "no: "+name+" is "+value, "",
				fmt.Errorf("%w; connect to the primary", errReadOnly)), nil
		}
	}
	return engine.Finding("takes writes", "yes", "", nil), nil
}

func (d *Dialect) checkCluster(ctx context.Context, _ variables) (dialect.Finding, error) {
	d.server.Store(nil) // read again
	f, err := d.flavour(ctx)
	if f.cluster == "" {
		return engine.Finding("cluster", "none with other writable members", "", nil), err
	}
	return engine.Finding("cluster", f.cluster, "lease locks are the cluster's; session locks and transaction locks "+
		"are refused", nil), err
}

func (d *Dialect) checkSession(ctx context.Context, _ variables) (dialect.Finding, error) {
	d.proven.Store(false) // try again
	s, err := d.openSession(ctx, dialect.SessionOptions{Holder: "sqllock check"})
	if ctx.Err() != nil {
		return dialect.Finding{}, err
	}
	if err != nil {
		return engine.Finding("sessions", "refused", "", err), nil
	}
	return engine.Finding("sessions", "GET_LOCK, and a second connection is refused the first one's lock", "",
		nil), s.Close()
}

func (d *Dialect) checkTx(ctx context.Context, _ variables) (dialect.Finding, error) {
	f, err := d.flavour(ctx)
	if refused := f.mayLock("a row lock"); refused != nil {
		return engine.Finding("transaction locks", "refused", "", refused), err
	}
	advice := ""
	if f.rollsBack {
		advice = "innodb_rollback_on_timeout is on: a row-lock wait longer than innodb_lock_wait_timeout rolls the " +
			"whole transaction back, except those in AcquireTx, which end earlier"
	}
	return engine.Finding("transaction locks", "row locks", advice, nil), err
}

// checkClock reads the clock until it has advanced a few times.
func (d *Dialect) checkClock(ctx context.Context, _ variables) (dialect.Finding, error) {
	least, err := engine.Resolution(func() (time.Duration, error) {
		us, err := one(ctx, d.pool, engine.One[int64], "SELECT MICROSECOND(UTC_TIMESTAMP(6))")
		return engine.Duration(us), err
	})
	if err != nil {
		return dialect.Finding{}, err
	}
	advice := ""
	if least > time.Millisecond {
		advice = "durations below that are kept, but not measured; is there a proxy that cuts fractions?"
	}
	return engine.Finding("clock resolution", least.String(), advice, nil), nil
}

// checkAffected finds out which rows an UPDATE counts. The statements work with either.
func (d *Dialect) checkAffected(ctx context.Context, _ variables) (dialect.Finding, error) {
	const what = "affected rows"
	tx, err := engine.SQLConns(d.db).Begin(ctx)
	if err != nil {
		return dialect.Finding{}, err
	}
	defer tx.Rollback() //nolint:errcheck // it is meant to be rolled back
	f, err := d.flavour(ctx)
	if err != nil {
		return dialect.Finding{}, err
	}
	id := rand.Text()
	if err = createLease(ctx, f.on(tx), dialect.Lease{ID: id, Holder: "sqllock check", TTL: time.Hour}); err != nil {
		return engine.Finding(what, "unknown", "", d.explain(err)), ctx.Err()
	}
	n, err := engine.Exec(ctx, tx, "UPDATE sqllock_leases SET holder = holder WHERE id = ?", id)
	found := "counts what was changed"
	if n == 1 {
		found = "counts what was found (clientFoundRows)"
	}
	return engine.Finding(what, found, "", nil), err
}

// variables are the server's, as a session of the pool has them.
type variables map[string]string

func readVariables(ctx context.Context, s engine.Session, texts ...string) (variables, error) {
	v := make(variables)
	for _, text := range texts {
		_, err := engine.Query(ctx, s, func(rows dialect.Rows, _ *struct{}) error {
			var name, value string
			err := rows.Scan(&name, &value)
			v[name] = value
			return err
		}, text)
		if err != nil {
			return nil, err
		}
	}
	return v, nil
}

// number returns the value of a variable, or otherwise if it isn't a number.
func (v variables) number(name string, otherwise int) int {
	n, err := strconv.Atoi(v[name])
	if err != nil {
		return otherwise
	}
	return n
}

// findings returns those that depend on variables alone.
func (v variables) findings(connections int) []dialect.Finding {
	isolation := cmp.Or(v["transaction_isolation"], v["tx_isolation"])
	var advice [4]string
	if strings.Contains(isolation, "UNCOMMITTED") {
		advice[0] = "locks hold, but lists of them show what isn't committed yet"
	}
	if idle := v.number("wait_timeout", 28_800); idle < 60 {
		advice[1] = "the server ends idle connections of the pool early: SetConnMaxIdleTime to less than that"
	}
	logged := v["binlog_format"]
	if off(v["log_bin"]) {
		logged = "no binary log"
	} else if logged == "STATEMENT" {
		advice[2] = "the server complains in its log about SKIP LOCKED: set binlog_format to ROW or MIXED"
	}
	prepared, most := v.number("Prepared_stmt_count", 0), v.number("max_prepared_stmt_count", 16_382)
	if need := perConnection * max(connections, 10); most-prepared < need {
		advice[3] = fmt.Sprintf("this pool keeps up to %d prepared, %d on each connection: raise it, or "+
			"SetMaxOpenConns to less",
			need, perConnection)
	}
	return []dialect.Finding{
		engine.Finding("default isolation level",
			strings.ToLower(strings.ReplaceAll(isolation, "-", " ")), advice[0], nil),
		engine.Finding("wait_timeout", v["wait_timeout"]+" s", advice[1], nil),
		engine.Finding("binary log", logged, advice[2], nil),
		engine.Finding("max_prepared_stmt_count",
			fmt.Sprintf("%d, of which %d are in use", most, prepared), advice[3], nil),
	}
}

// perConnection is how many statements a connection of the pool keeps prepared.
const perConnection = 28
