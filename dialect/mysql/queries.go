package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"slices"
	"strings"

	"github.com/sqllock/sqllock/internal/engine"
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
	sqlSession   = load("session")
	sqlEngines   = load("engines")
	sqlSchema    = load("schema")

	sqlCreateLease    = load("create_lease")
	sqlRenewLease     = load("renew_lease")
	sqlSeeLease       = load("see_lease")
	sqlSeeLeaseGalera = "SET STATEMENT wsrep_sync_wait = 1 FOR " + sqlSeeLease
	sqlBuryLease      = load("bury_lease")
	sqlExpiredLeases  = load("expired_leases")
	sqlDeleteLease    = load("delete_lease")
	sqlLeases         = load("leases")

	sqlInsertLock   = load("insert_lock")
	sqlSeeLock      = load("see_lock")
	sqlSeeLocks     = load("see_locks")
	sqlSettleLock   = load("settle_lock")
	sqlRelease      = load("release")
	sqlGuard        = load("guard")
	sqlGuardCluster = load("guard_cluster")
	sqlRaise        = load("raise")

	sqlLook      = load("look")
	sqlList      = load("list")
	sqlIdleLocks = load("idle_locks")

	sqlEnqueue     = load("enqueue")
	sqlSeeAhead    = load("see_ahead")
	sqlDequeue     = load("dequeue")
	sqlQueue       = load("queue")
	sqlHolding     = load("holding")
	sqlSeeOthers   = load("see_others")
	sqlPass        = load("pass")
	sqlDeadWaiters = load("dead_waiters")

	sqlRecall        = load("recall")
	sqlRecallGalera  = "SET STATEMENT wsrep_sync_wait = 1 FOR " + sqlRecall
	sqlRemember      = load("remember")
	sqlClaimOutcome  = load("claim_outcome")
	sqlSettleOutcome = load("settle_outcome")
	sqlOldOutcomes   = load("old_outcomes")

	sqlSeeRow  = load("see_row")
	sqlAddRow  = load("add_row")
	sqlLockRow = load("lock_row")
)

// Statements that don't wait for a row that somebody is at, which each of the two says in its own way.
var (
	sqlBuryExpiredLease = choice{mysql: load("bury_expired_lease_mysql"), maria: load("bury_expired_lease_mariadb")}
	sqlAcquire          = choice{mysql: load("acquire_mysql"), maria: load("acquire_mariadb")}
	sqlAcquireMany      = choice{mysql: load("acquire_many_mysql"), maria: load("acquire_many_mariadb")}
	sqlReleaseMany      = choice{mysql: load("release_many_mysql"), maria: load("release_many_mariadb")}
	sqlFree             = choice{mysql: load("free_mysql"), maria: load("free_mariadb")}
	sqlKeepRow          = choice{mysql: load("keep_row_mysql"), maria: load("keep_row_mariadb")}
	sqlPurgeLock        = choice{mysql: load("purge_lock_mysql"), maria: load("purge_lock_mariadb")}
	sqlPurgeWaiter      = choice{mysql: load("purge_waiter_mysql"), maria: load("purge_waiter_mariadb")}
	sqlPurgeOutcome     = choice{mysql: load("purge_outcome_mysql"), maria: load("purge_outcome_mariadb")}
)

// sqlInsertLocks tells on MariaDB which it made.
var sqlInsertLocks = choice{mysql: load("insert_locks"), maria: load("insert_locks") + " RETURNING name, slot, fence"}

type choice struct{ mysql, maria string }

// run answers what the statement has changed: nothing, where somebody is at the row. The arguments of the SET clause
// are apart, since it stands first in an UPDATE and last in an UPDATE of a join.
func (c choice) run(ctx context.Context, s engine.Session, f flavour, which []any, set ...any) (sql.Result, error) {
	text, args := c.mysql, slices.Concat(which, set)
	if f.maria {
		text, args = c.maria, slices.Concat(set, which)
	}
	result, err := s.ExecContext(ctx, text, args...)
	if number(err) == erLockWaitTimeout {
		return driver.RowsAffected(0), nil
	}
	return result, err
}

// load reads a statement and puts it on one line, for which the rules of read/write splitters are often written.
func load(name string) string {
	return strings.Join(strings.Fields(engine.Statement(files, name)), " ")
}
