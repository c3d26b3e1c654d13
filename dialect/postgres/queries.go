package postgres

import (
	"embed"
	"regexp"
	"strings"

	"github.com/sqllock/sqllock/dialect/internal/engine"
)

//go:embed sql/*.sql
var files embed.FS

var (
	sqlVersion = load("version")

	sqlServer = load("server")
	sqlSchema = load("schema")

	sqlCompatible = load("compatible")
	sqlIdentity   = load("identity")
	sqlClock      = load("clock")
	sqlMembers    = load("members")

	sqlCreateLease   = load("create_lease")
	sqlRenewLease    = load("renew_lease")
	sqlExpireLeases  = load("expire_leases")
	sqlSeeLeases     = load("see_leases")
	sqlOverlong      = load("overlong_leases")
	sqlDeleteExpired = load("delete_expired")
	sqlDeleteLeases  = load("delete_leases")

	sqlAcquire      = load("acquire")
	sqlMakeLock     = load("make_lock")
	sqlRelease      = load("release")
	sqlAcquireMany  = load("acquire_many")
	sqlReleaseMany  = load("release_many")
	sqlHandOver     = load("hand_over")
	sqlHandFree     = load("hand_free")
	sqlGuard        = load("guard")
	sqlAdvanceFence = load("advance_fence")
	sqlRemoveLock   = load("remove_lock")
	sqlLocate       = load("locate")
	sqlFree         = load("free")
	// of the plain flavour
	sqlReleasePlain     = load("release_plain")
	sqlReleaseManyPlain = load("release_many_plain")
	sqlGuardPlain       = load("guard_plain")
	sqlEndBar           = load("end_bar")

	sqlGet  = load("get")
	sqlList = load("list")

	sqlGetAnywhere  = anywhere(sqlGet)
	sqlListAnywhere = anywhere(sqlList)

	sqlPurge = load("purge")

	sqlEnqueue        = load("enqueue")
	sqlEnqueueMany    = load("enqueue_many")
	sqlDequeue        = load("dequeue")
	sqlDequeueMany    = load("dequeue_many")
	sqlQueue          = load("queue")
	sqlListWaiters    = load("list_waiters")
	sqlWaitingHolders = load("waiting_holders")
	sqlTransfer       = load("transfer")
	sqlPurgeWaiters   = load("purge_waiters")
	sqlNotify         = load("notify")

	sqlRecall        = load("recall")
	sqlRemember      = load("remember")
	sqlClaimOutcome  = load("claim_outcome")
	sqlRememberTx    = load("remember_tx")
	sqlPurgeOutcomes = load("purge_outcomes")

	sqlRecordBreak = load("record_break")
	sqlSeeBreak    = load("see_break")
	sqlListBreaks  = load("list_breaks")
	sqlPurgeBreaks = load("purge_breaks")

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
	sqlReadOnly    = load("read_only")
)

func load(name string) string { return engine.Statement(files, name) }

// primaryOnly is what makes a read/write splitter send a read to the primary. It needs the right to
// DELETE.
var primaryOnly = regexp.MustCompile(`WITH primary_only AS \(\s*DELETE FROM sqllock_leases WHERE false\s*\),?`)

// anywhere returns a read without that.
func anywhere(text string) string {
	return primaryOnly.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasSuffix(found, ",") {
			return "WITH"
		}
		return ""
	})
}
