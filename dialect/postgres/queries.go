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
	sqlLeases       = load("leases")

	sqlAcquire     = load("acquire")
	sqlRelease     = load("release")
	sqlAcquireMany = load("acquire_many")
	sqlReleaseMany = load("release_many")
	sqlGuard       = load("guard")
	sqlFree        = load("free")

	sqlLook  = load("look")
	sqlList  = load("list")
	sqlPurge = load("purge")

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
