package sqlserver

import (
	"context"
	"embed"
	"strings"

	"github.com/sqllock/sqllock/dialect/internal/engine"
)

//go:embed sql/*.sql
var files embed.FS

var (
	sqlServer    = load("server")
	sqlSchema    = load("schema")
	sqlVersioned = load("versioned")

	sqlCompatible = load("compatible")
	sqlIdentity   = load("identity")

	sqlCheck      = load("check")
	sqlCheckClock = load("check_clock")
	sqlClock      = load("clock")

	sqlCreateLease   = load("create_lease")
	sqlRenewLease    = load("renew_lease")
	sqlExpireLease   = load("expire_lease")
	sqlSeeLease      = load("see_lease")
	sqlOverlong      = load("overlong_leases")
	sqlDeleteExpired = load("delete_expired")
	sqlDeleteLease   = load("delete_lease")

	sqlAcquire      = load("acquire")
	sqlSeeLock      = load("see_lock")
	sqlInsertLock   = load("insert_lock")
	sqlAwaitLock    = load("await_lock")
	sqlRelease      = load("release")
	sqlGuard        = load("guard")
	sqlAdvanceFence = load("advance_fence")
	sqlRemoveLock   = load("remove_lock")
	sqlLocate       = load("locate")
	sqlFree         = load("free")
	sqlEndBar       = load("end_bar")
	sqlPurge        = load("purge")

	sqlEnqueue        = load("enqueue")
	sqlDequeue        = load("dequeue")
	sqlQueue          = load("queue")
	sqlListWaiters    = load("list_waiters")
	sqlWaitingHolders = load("waiting_holders")
	sqlTransfer       = load("transfer")
	sqlPurgeWaiters   = load("purge_waiters")

	sqlRecall        = load("recall")
	sqlInsertOutcome = load("insert_outcome")
	sqlRememberTx    = load("remember_tx")
	sqlClaimOutcome  = load("claim_outcome")
	sqlMakeClaim     = load("make_claim")
	sqlPurgeOutcomes = load("purge_outcomes")

	sqlBreak       = load("break")
	sqlSeeBreak    = load("see_break")
	sqlListBreaks  = load("list_breaks")
	sqlPurgeBreaks = load("purge_breaks")

	sqlTrySession    = load("try_session")
	sqlUnlockSession = load("unlock_session")
	sqlSession       = load("session")
	sqlSessionHolder = load("session_holder")
	sqlSessionInfo   = load("session_info")
	sqlLockTx        = load("lock_tx")

	sqlGet    = load("get")
	sqlList   = load("list")
	sqlLeases = load("leases")
)

func load(name string) string { return engine.Statement(files, name) }

// reads are the statements that must wait for nothing, in the form that suits this database.
type reads struct{ get, list, leases, queue, listWaiters, waitingHolders, breaks string }

var (
	committed   = reads{sqlGet, sqlList, sqlLeases, sqlQueue, sqlListWaiters, sqlWaitingHolders, sqlListBreaks}
	uncommitted = reads{
		unlocked(sqlGet), unlocked(sqlList), unlocked(sqlLeases), unlocked(sqlQueue),
		unlocked(sqlListWaiters), unlocked(sqlWaitingHolders), unlocked(sqlListBreaks),
	}
)

func unlocked(statement string) string {
	return strings.ReplaceAll(statement, "(READCOMMITTED)", "(READUNCOMMITTED)")
}

// reads returns the read statements. The first time it asks the server whether the database keeps
// row versions.
func (d *Dialect) reads(ctx context.Context) (reads, error) {
	versioned := d.versioned.Load()
	if versioned == nil {
		found, err := query(ctx, d.pool, engine.One[bool], sqlVersioned)
		if err != nil {
			return reads{}, err
		}
		on := len(found) == 1 && found[0]
		versioned = &on
		d.versioned.Store(versioned)
	}
	if *versioned {
		return committed, nil
	}
	return uncommitted, nil
}
