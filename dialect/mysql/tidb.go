package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// On TiDB every statement runs in a transaction of its own, and decides by what the row holds:
//
//   - Locks of rows exist only in explicit transactions. A statement that commits by itself takes
//     none, and a SELECT … FOR UPDATE then waits for none either.
//   - SKIP LOCKED is accepted and ignored, so a row is locked with NOWAIT first and changed after
//     that. There is no JSON_TABLE, so a batch is single statements, and keys are read with IN.
//   - There are no share locks. A guard is FOR UPDATE, and guards of one lock wait for each other.
//   - UTC_TIMESTAMP is the clock of one tidb-server. That of the cluster is the timestamp at which
//     a transaction begins. It is read by a SET, since elsewhere TIDB_CURRENT_TSO() may be folded
//     to a constant of a plan that is cached. So the clock stands still for a transaction, as that
//     of MySQL does for a statement.
//
// Sources: https://docs.pingcap.com/tidb/stable/pessimistic-transaction,
// https://docs.pingcap.com/tidb/stable/tso, https://github.com/pingcap/tidb/issues/69720.

// clock is a source of time for TiDB's statements.
type clock struct {
	tso     string // an expression: milliseconds since 1970, and a counter of 18 bits
	forTiDB *strings.Replacer
}

// clockVariable is the time in microseconds since 1970, in a variable of the transaction's session.
const clockVariable = "@sqllock_us"

// The cluster's clock advances in steps of 50 ms, unless PD's tso-update-physical-interval is
// another. TIDB_CURRENT_TSO() is 0 outside of transactions. A server's own clock takes its place in
// tests.
var (
	clusterClock = newClock("TIDB_CURRENT_TSO()", 50*time.Millisecond)
	serverClock  = newClock("((TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)) "+
		"DIV 1000) << 18)", time.Millisecond)
)

// newClock returns a clock, and how statements are translated that are otherwise the same on every
// server. An end has a step added: otherwise it could come early by that. A derived table that
// LIMIT keeps separate isn't to be locked.
func newClock(tso string, step time.Duration) *clock {
	now := "(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL " + clockVariable + " MICROSECOND)"
	const add = "UTC_TIMESTAMP(6) + INTERVAL"
	return &clock{tso: tso, forTiDB: strings.NewReplacer(
		add, fmt.Sprintf("%s + INTERVAL %d MICROSECOND + INTERVAL", now, step.Microseconds()),
		"UTC_TIMESTAMP(6)", now,
		" LOCK IN SHARE MODE", " FOR UPDATE",
		") AS page ORDER BY name, slot FOR UPDATE", ") AS page ORDER BY name, slot",
	)}
}

// WithTiDB makes the dialect treat any server as TiDB, with that server's own clock in place of the
// cluster's. It is for tests of what is sent to TiDB. It must not be used on TiDB itself, which the
// dialect recognizes by its version.
func WithTiDB() Option {
	return func(d *Dialect) { d.clock = serverClock }
}

// on returns the session as the statements of this flavour need it. On TiDB the session must be a
// transaction.
func (f flavour) on(s engine.Session) engine.Session {
	if f.product != tidb {
		return s
	}
	return &translated{Session: s, clock: f.clock}
}

// translated is a transaction on TiDB.
type translated struct {
	engine.Session
	clock *clock
	read  bool // the time is in clockVariable
}

var _ dialect.Querier = (*translated)(nil)

// translate returns the statement for TiDB. It reads the clock before the first one that needs it.
func (t *translated) translate(ctx context.Context, text string) (string, error) {
	text = t.clock.forTiDB.Replace(text)
	if t.read || !strings.Contains(text, clockVariable) {
		return text, nil
	}
	_, err := t.Session.Exec(ctx, "SET "+clockVariable+" = ("+t.clock.tso+" >> 18) * 1000")
	t.read = err == nil
	return text, err
}

// Exec runs a statement and returns how many rows it has changed.
func (t *translated) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	text, err := t.translate(ctx, query)
	if err != nil {
		return 0, err
	}
	return t.Session.Exec(ctx, text, args...)
}

// Query runs a statement that returns rows.
func (t *translated) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	text, err := t.translate(ctx, query)
	if err != nil {
		return nil, err
	}
	return t.Session.Query(ctx, text, args...)
}

// ExecContext runs a statement. The session must be one of database/sql's.
func (t *translated) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	text, err := t.translate(ctx, query)
	if err != nil {
		return nil, err
	}
	return engine.ExecResult(ctx, t.Session, text, args...)
}

// QueryContext makes it a dialect.Querier, and is not used.
func (t *translated) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, fmt.Errorf("%w: %T has Query only", dialect.ErrUnsupported, t)
}

// together calls run with a transaction that commits. If s isn't the pool, it is a transaction
// already, and together only calls run.
func (f flavour) together(
	ctx context.Context, s engine.Session, run func(engine.Session) (sql.Result, error),
) (result sql.Result, err error) {
	p, ok := s.(*pool)
	if !ok {
		return run(s)
	}
	if p.DB == nil {
		return nil, dialect.CheckDB(nil)
	}
	tx, err := engine.SQLConns(p.DB).Begin(ctx)
	if err != nil {
		return nil, engine.Exhausted(p.DB, err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if result, err = run(f.on(tx)); err == nil {
		err = tx.Commit()
	}
	if ended := ctx.Err(); ended != nil && errors.Is(err, sql.ErrTxDone) { // database/sql rolled it back
		err = ended
	}
	return result, err
}

// ifUnlocked locks the row and then runs the statement in MariaDB's form. If others have locked the
// row, the error's number is erNoWait, and its class Transient.
func (c choice) ifUnlocked(ctx context.Context, s engine.Session, f flavour, which, args []any) (sql.Result, error) {
	return f.together(ctx, s, func(s engine.Session) (sql.Result, error) {
		key := which[:strings.Count(c.row, "?")]
		_, err := engine.Query(ctx, s, engine.One[int], "SELECT 1 FROM "+c.row+" FOR UPDATE NOWAIT", key...)
		if err != nil {
			return nil, err
		}
		return engine.ExecResult(ctx, s, strings.TrimPrefix(c.maria, noWaiting), args...)
	})
}

// checkTxMode refuses a pool whose transactions lock rows only at the commit: a guard wouldn't keep
// anybody waiting. f is TiDB's.
func checkTxMode(ctx context.Context, s engine.Session, f flavour) error {
	if f.clock != clusterClock {
		return nil
	}
	mode, err := one(ctx, s, engine.One[string], "SELECT @@tidb_txn_mode")
	if err == nil && !strings.EqualFold(mode, "pessimistic") {
		err = fmt.Errorf("%w: tidb_txn_mode is %q in the sessions of this pool, and only pessimistic transactions "+
			"lock rows: set it to pessimistic in the DSN or for the cluster", dialect.ErrInvalid, mode)
	}
	return err
}

// readIn reads rows by their keys. The text ends with an IN of one key, which is repeated.
func readIn[Key, Row any](
	ctx context.Context, s engine.Session, scan func(dialect.Rows, *Row) error,
	text string, keys []Key, values func(Key) []any,
) (all []Row, err error) {
	head, one, _ := strings.Cut(strings.TrimSuffix(text, ")"), " IN (")
	for some := range slices.Chunk(keys, maxBatch) {
		var args []any
		for _, key := range some {
			args = append(args, values(key)...)
		}
		in := " IN (" + one + strings.Repeat(", "+one, len(some)-1) + ")"
		found, err := engine.Query(ctx, s, scan, head+in, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// readKeysIn is readKeys for TiDB.
func readKeysIn(ctx context.Context, s engine.Session, keys []dialect.Key, rows []dialect.Row) error {
	found, err := readIn(ctx, s, engine.ScanPlaced, sqlGetIn, keys,
		func(key dialect.Key) []any { return []any{key.Name, key.Slot} })
	byKey := make(map[dialect.Key]dialect.Row, len(found))
	for _, one := range found {
		byKey[row(one.Key)] = one.Row
	}
	for i, key := range keys {
		if one, ok := byKey[row(key)]; ok {
			rows[i] = one
		}
	}
	return err
}
