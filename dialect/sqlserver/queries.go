package sqlserver

import (
	"context"
	"embed"
	"strings"

	"github.com/sqllock/sqllock/internal/engine"
)

//go:embed sql/*.sql
var files embed.FS

var (
	sqlServer    = load("server")
	sqlSchema    = load("schema")
	sqlVersioned = load("versioned")

	sqlCheck      = load("check")
	sqlCheckClock = load("check_clock")

	sqlCreateLease = load("create_lease")
	sqlRenewLease  = load("renew_lease")
	sqlBuryLease   = load("bury_lease")
	sqlSeeLease    = load("see_lease")
	sqlBuryExpired = load("bury_expired")
	sqlDeleteLease = load("delete_lease")

	sqlAcquire    = load("acquire")
	sqlSeeLock    = load("see_lock")
	sqlInsertLock = load("insert_lock")
	sqlSettleLock = load("settle_lock")
	sqlRelease    = load("release")
	sqlGuard      = load("guard")
	sqlRaise      = load("raise")
	sqlFree       = load("free")
	sqlPurge      = load("purge")

	sqlEnqueue      = load("enqueue")
	sqlDequeue      = load("dequeue")
	sqlQueue        = load("queue")
	sqlHolding      = load("holding")
	sqlPass         = load("pass")
	sqlPurgeWaiters = load("purge_waiters")

	sqlRecall        = load("recall")
	sqlInsertOutcome = load("insert_outcome")
	sqlSettleOutcome = load("settle_outcome")
	sqlClaimOutcome  = load("claim_outcome")
	sqlMakeClaim     = load("make_claim")
	sqlPurgeOutcomes = load("purge_outcomes")

	sqlTrySession    = load("try_session")
	sqlUnlockSession = load("unlock_session")
	sqlSession       = load("session")
	sqlSessionHolder = load("session_holder")
	sqlSessionInfo   = load("session_info")
	sqlLockTx        = load("lock_tx")

	sqlLook   = load("look")
	sqlList   = load("list")
	sqlLeases = load("leases")
)

func load(name string) string { return engine.Statement(files, name) }

// reads are the statements that must wait for nobody, as this database wants them.
type reads struct{ look, list, leases, queue, holding string }

var (
	committed   = reads{sqlLook, sqlList, sqlLeases, sqlQueue, sqlHolding}
	uncommitted = reads{unlocked(sqlLook), unlocked(sqlList), unlocked(sqlLeases), unlocked(sqlQueue), unlocked(sqlHolding)}
)

func unlocked(statement string) string {
	return strings.ReplaceAll(statement, "(READCOMMITTED)", "(READUNCOMMITTED)")
}

// reads asks the server, the first time, whether the database keeps row versions.
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
