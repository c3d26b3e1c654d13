package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"slices"
	"strings"

	"github.com/sqllock/sqllock/dialect/internal/engine"
)

//go:embed sql/*.sql
var files embed.FS

var (
	sqlVersion   = load("version")
	sqlFlavour   = load("flavour")
	sqlWhere     = load("where")
	sqlHolders   = load("holders")
	sqlVariables = load("variables")
	sqlPrepared  = load("prepared")

	sqlClock         = load("clock")
	sqlMembership    = load("membership")
	sqlGroupMembers  = load("group_members")
	sqlGaleraMembers = load("galera_members")

	sqlSession  = load("session")
	sqlEngines  = load("engines")
	sqlReadOnly = load("read_only")
	sqlSchema   = load("schema")

	sqlCompatible = load("compatible")

	sqlIdentity       = load("identity")
	sqlIdentityStatus = load("identity_status")
	sqlIdentitySource = load("identity_source")

	sqlCreateLease   = load("create_lease")
	sqlRenewLease    = load("renew_lease")
	sqlSeeLease      = load("see_lease")
	sqlExpireLease   = load("expire_lease")
	sqlOverlong      = load("overlong_leases")
	sqlExpiredLeases = load("expired_leases")
	sqlDeleteLease   = load("delete_lease")
	sqlLeases        = load("leases")
	sqlLeasesIn      = load("leases_in")

	sqlInsertLock   = load("insert_lock")
	sqlSeeLock      = load("see_lock")
	sqlSeeLocks     = load("see_locks")
	sqlAwaitLock    = load("await_lock")
	sqlRelease      = load("release")
	sqlGuard        = load("guard")
	sqlGuardCluster = load("guard_cluster")
	sqlAdvanceFence = load("advance_fence")
	sqlRemoveLock   = load("remove_lock")
	sqlLocate       = load("locate")
	sqlEndBar       = load("end_bar")

	sqlGet       = load("get")
	sqlGetIn     = load("get_in")
	sqlList      = load("list")
	sqlIdleLocks = load("idle_locks")

	sqlEnqueue        = load("enqueue")
	sqlSeeAhead       = load("see_ahead")
	sqlDequeue        = load("dequeue")
	sqlQueue          = load("queue")
	sqlListWaiters    = load("list_waiters")
	sqlWaitingHolders = load("waiting_holders")
	sqlSeeOthers      = load("see_others")
	sqlTransfer       = load("transfer")
	sqlDeadWaiters    = load("dead_waiters")

	sqlRecall       = load("recall")
	sqlRemember     = load("remember")
	sqlClaimOutcome = load("claim_outcome")
	sqlRememberTx   = load("remember_tx")
	sqlOldOutcomes  = load("old_outcomes")

	sqlRecordBreak = load("record_break")
	sqlSeeBreak    = load("see_break")
	sqlListBreaks  = load("list_breaks")
	sqlOldBreaks   = load("old_breaks")
	sqlDeleteBreak = load("delete_break")

	sqlSeeRow  = load("see_row")
	sqlAddRow  = load("add_row")
	sqlLockRow = load("lock_row")
)

// What a row is found by.
const (
	lockRow    = "sqllock_locks WHERE name = ? AND slot = ?"
	leaseRow   = "sqllock_leases WHERE id = ?"
	waiterRow  = "sqllock_waiters WHERE owner = ?"
	outcomeRow = "sqllock_outcomes WHERE name = ?"
)

// Statements that don't wait for a locked row. MySQL, MariaDB and TiDB express that in different
// ways.
var (
	sqlDeleteExpiredLease = choice{
		mysql: load("delete_expired_lease_mysql"),
		maria: load("delete_expired_lease_mariadb"), outer: []int{1}, row: leaseRow,
	}
	sqlAcquire = choice{
		mysql: load("acquire_mysql"), maria: load("acquire_mariadb"), outer: []int{2}, row: lockRow,
	}
	sqlAcquireMany = choice{mysql: load("acquire_many_mysql"), maria: load("acquire_many_mariadb")}
	sqlReleaseMany = choice{mysql: load("release_many_mysql"), maria: load("release_many_mariadb")}
	sqlFree        = choice{
		mysql: load("free_mysql"), maria: load("free_mariadb"), outer: []int{2, 3}, row: lockRow,
	}
	sqlKeepRow = choice{
		mysql: load("keep_row_mysql"), maria: load("keep_row_mariadb"),
		row: "sqllock_locks WHERE name = ? AND slot = -1",
	}
	sqlPurgeLock = choice{
		mysql: load("purge_lock_mysql"), maria: load("purge_lock_mariadb"), outer: []int{2}, row: lockRow,
	}
	sqlPurgeWaiter = choice{
		mysql: load("purge_waiter_mysql"), maria: load("purge_waiter_mariadb"),
		outer: []int{0}, row: waiterRow,
	}
	sqlPurgeOutcome = choice{
		mysql: load("purge_outcome_mysql"), maria: load("purge_outcome_mariadb"), row: outcomeRow,
	}
)

// sqlReleaseUnguarded is for TiDB alone.
var sqlReleaseUnguarded = choice{maria: sqlRelease, row: lockRow}

// sqlInsertLocks returns on MariaDB which rows it inserted.
var sqlInsertLocks = choice{mysql: load("insert_locks"), maria: load("insert_locks") + " RETURNING name, slot, fence"}

// choice is a statement in MySQL's form, with a derived table, and in MariaDB's. On TiDB the latter
// comes after a statement that locks the row.
type choice struct {
	mysql, maria string
	// indexes of run's arguments that MySQL's form repeats outside of its derived table
	outer []int
	row   string // what TiDB locks, by the first of run's arguments
}

// noWaiting begins a statement in MariaDB's form.
const noWaiting = "SET STATEMENT innodb_lock_wait_timeout = 0 FOR "

// run returns what the statement has changed: nothing if the row is locked. The arguments of the
// SET clause are separate, since that clause comes first in an UPDATE and in the middle of an
// UPDATE of a join.
func (c choice) run(ctx context.Context, s engine.Session, f flavour, which []any, set ...any) (sql.Result, error) {
	result, err := c.try(ctx, s, f, which, set)
	if n := number(err); n == erLockWaitTimeout || n == erNoWait {
		return driver.RowsAffected(0), nil
	}
	return result, err
}

func (c choice) try(ctx context.Context, s engine.Session, f flavour, which, set []any) (sql.Result, error) {
	switch {
	case f.product == tidb:
		return c.ifUnlocked(ctx, s, f, which, slices.Concat(set, which))
	case f.maria:
		return engine.ExecResult(ctx, s, c.maria, slices.Concat(set, which)...)
	}
	args := slices.Concat(which, set)
	for _, i := range c.outer {
		args = append(args, which[i])
	}
	return engine.ExecResult(ctx, s, c.mysql, args...)
}

// load reads a statement and puts it on one line: the rules of read/write splitters often expect
// that.
func load(name string) string {
	return strings.Join(strings.Fields(engine.Statement(files, name)), " ")
}
