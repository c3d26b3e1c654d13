package postgres

import (
	"embed"

	"github.com/sqllock/sqllock/internal/engine"
)

//go:embed sql/*.sql
var files embed.FS

var (
	sqlServer = load("server")
	sqlSchema = load("schema")

	sqlCreateLease  = load("create_lease")
	sqlRenewLease   = load("renew_lease")
	sqlBuryLeases   = load("bury_leases")
	sqlBuryExpired  = load("bury_expired")
	sqlDeleteLeases = load("delete_leases")

	sqlAcquire     = load("acquire")
	sqlMakeLock    = load("make_lock")
	sqlRelease     = load("release")
	sqlAcquireMany = load("acquire_many")
	sqlReleaseMany = load("release_many")
	sqlHandOver    = load("hand_over")
	sqlHandFree    = load("hand_free")
	sqlGuard       = load("guard")
	sqlRaise       = load("raise")
	sqlFree        = load("free")

	sqlLook  = load("look")
	sqlList  = load("list")
	sqlPurge = load("purge")

	sqlEnqueue      = load("enqueue")
	sqlDequeue      = load("dequeue")
	sqlQueue        = load("queue")
	sqlHolding      = load("holding")
	sqlPass         = load("pass")
	sqlPurgeWaiters = load("purge_waiters")
	sqlNotify       = load("notify")

	sqlRecall        = load("recall")
	sqlRemember      = load("remember")
	sqlClaimOutcome  = load("claim_outcome")
	sqlSettleOutcome = load("settle_outcome")
	sqlPurgeOutcomes = load("purge_outcomes")

	sqlSession         = load("session")
	sqlSessionSettings = load("session_settings")
	sqlSessionTry      = load("session_try")
	sqlSessionUnlock   = load("session_unlock")
	sqlSessionHolders  = load("session_holders")

	sqlTxLock      = load("tx_lock")
	sqlTxShare     = load("tx_share")
	sqlTxTryLock   = load("tx_try_lock")
	sqlTxTryShare  = load("tx_try_share")
	sqlCheck       = load("check")
	sqlCheckClock  = load("check_clock")
	sqlCheckLimits = load("check_limits")
)

func load(name string) string { return engine.Statement(files, name) }
