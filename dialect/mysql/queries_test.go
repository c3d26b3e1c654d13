package mysql

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

var statements = []string{
	sqlVersion, sqlFlavour, sqlSession, sqlEngines, sqlReadOnly, sqlSchema, sqlCompatible, sqlIdentity,
	sqlIdentityStatus, sqlIdentitySource,
	sqlCreateLease, sqlRenewLease, sqlSeeLease, sqlExpireLease, sqlOverlong, sqlEndBar, sqlExpiredLeases,
	sqlDeleteLease, sqlLeases,
	sqlInsertLock, sqlSeeLock, sqlSeeLocks, sqlInsertLocks.mysql, sqlAwaitLock, sqlRelease, sqlGuard,
	sqlAdvanceFence, sqlRemoveLock, sqlLocate,
	sqlGet, sqlGetIn, sqlLeasesIn, sqlList, sqlIdleLocks,
	sqlEnqueue, sqlSeeAhead, sqlDequeue, sqlQueue, sqlListWaiters, sqlWaitingHolders, sqlSeeOthers, sqlTransfer,
	sqlDeadWaiters,
	sqlPurgeWaiter.mysql, sqlPurgeWaiter.maria,
	sqlRecall, sqlRemember, sqlClaimOutcome, sqlRememberTx, sqlOldOutcomes,
	sqlPurgeOutcome.mysql, sqlPurgeOutcome.maria,
	sqlRecordBreak, sqlSeeBreak, sqlListBreaks, sqlOldBreaks, sqlDeleteBreak,
	sqlClock, sqlMembership, sqlGroupMembers, sqlGaleraMembers,
	sqlGuardCluster, sqlWhere, sqlHolders, sqlVariables, sqlPrepared,
	sqlSeeRow, sqlAddRow, sqlLockRow, sqlKeepRow.mysql, sqlKeepRow.maria,
	sqlDeleteExpiredLease.mysql, sqlAcquire.mysql, sqlFree.mysql, sqlPurgeLock.mysql,
	sqlAcquireMany.mysql, sqlReleaseMany.mysql, sqlAcquireMany.maria, sqlReleaseMany.maria,
	sqlDeleteExpiredLease.maria, sqlAcquire.maria, sqlFree.maria, sqlPurgeLock.maria,
}

func TestEveryFileIsUsed(t *testing.T) { enginetest.Files(t, files, load, statements) }

func TestStatements(t *testing.T) {
	bad := map[string]*regexp.Regexp{
		"a clock in the session's " +
			"zone": regexp.MustCompile(`(?i)\b(NOW|SYSDATE|CURRENT_TIMESTAMP|LOCALTIME\w*|UNIX_TIMESTAMP)\b`),
		"a clock of whole seconds":           regexp.MustCompile(`UTC_TIMESTAMP(\(\)|[^(]|$)`),
		"not one bare statement on one line": regexp.MustCompile(`;|--|\n`),
		"quotes that ANSI_QUOTES changes":    regexp.MustCompile(`"`),
	}
	// the time that a statement has waited is the same in every time zone
	const waited = "TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6))"
	for _, text := range statements {
		for why, pattern := range bad {
			if found := pattern.FindString(strings.ReplaceAll(text, waited, "")); found != "" {
				t.Errorf("%s: %q in: %s", why, found, text)
			}
		}
		derived := strings.Contains(text, "SKIP LOCKED") && !strings.HasPrefix(text, "INSERT")
		if derived && !strings.Contains(text, "LIMIT 1 FOR UPDATE SKIP LOCKED") &&
			!strings.Contains(text, "LIMIT 1000 FOR UPDATE SKIP LOCKED") {
			t.Errorf("without LIMIT the derived table is merged, and waits: %s", text)
		}
	}
	for _, text := range []string{sqlSeeLease, sqlSeeLocks, sqlRecall} {
		if !strings.HasSuffix(text, "FOR UPDATE") || !strings.HasPrefix(text, "SELECT ") {
			t.Errorf("a splitter wouldn't send this to the primary: %s", text)
		}
	}
}
