package postgres

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

var statements = []string{
	sqlVersion, sqlServer, sqlSchema, sqlCompatible, sqlIdentity,
	sqlCreateLease, sqlRenewLease, sqlExpireLeases, sqlSeeLeases, sqlOverlong, sqlEndBar,
	sqlDeleteExpired, sqlDeleteLeases,
	sqlAcquire, sqlMakeLock, sqlRelease, sqlGuard, sqlAdvanceFence, sqlFree, sqlRemoveLock, sqlLocate,
	sqlAcquireMany, sqlReleaseMany, sqlHandOver, sqlHandFree,
	sqlGuardPlain, sqlReleasePlain, sqlReleaseManyPlain,
	sqlEnqueue, sqlDequeue, sqlEnqueueMany, sqlDequeueMany, sqlQueue, sqlListWaiters, sqlWaitingHolders, sqlTransfer,
	sqlPurgeWaiters, sqlNotify,
	sqlRecall, sqlRemember, sqlClaimOutcome, sqlRememberTx, sqlPurgeOutcomes,
	sqlRecordBreak, sqlSeeBreak, sqlListBreaks, sqlPurgeBreaks,
	sqlGet, sqlList, sqlPurge,
	sqlTxLock, sqlTxShare, sqlTxTryLock, sqlTxTryShare,
	sqlCheck, sqlCheckClock, sqlCheckLimits, sqlReadOnly, sqlClock, sqlMembers,
}

// sessionStatements run only on sessions, behind no pooler that shares server processes.
var sessionStatements = []string{sqlSession, sqlSessionSettings, sqlSessionTry, sqlSessionUnlock, sqlSessionHolders}

func TestEveryFileIsUsed(t *testing.T) {
	enginetest.Files(t, files, load, slices.Concat(statements, sessionStatements))
}

func TestStatementsArePoolerSafe(t *testing.T) {
	uncast := regexp.MustCompile(`\$\d+(\D|$)`)
	session := regexp.MustCompile(
		`(?i)\b(set\s+local|set\s+session|prepare|listen|temp|temporary|pg_(try_)?advisory_(un)?lock\w*)\b`)
	staleClock := regexp.MustCompile(`(?i)\b(now\s*\(|current_timestamp|localtimestamp|statement_timestamp)`)
	for _, text := range statements {
		for _, at := range uncast.FindAllStringIndex(text, -1) {
			if !strings.HasPrefix(text[at[1]-1:], "::") {
				t.Errorf("a parameter has no cast, so its type depends on the query mode: %s", text)
			}
		}
		for _, bad := range []*regexp.Regexp{session, staleClock} {
			if found := bad.FindString(text); found != "" {
				t.Errorf("%q must not be in the statement: %s", found, text)
			}
		}
		if strings.Contains(text, ";") || strings.Contains(text, "--") {
			t.Errorf("this is not a single statement without comments: %s", text)
		}
	}
}

// Callers make decisions on what these statements read, so a read/write splitter must take them for
// statements that write.
func TestDecisiveReadsGoToThePrimary(t *testing.T) {
	for _, text := range []string{sqlGet, sqlList, sqlRecall} {
		if !strings.HasPrefix(text, "WITH primary_only AS (") || !strings.Contains(text, "DELETE FROM") {
			t.Errorf("a read/write splitter may send this statement to a replica: %s", text)
		}
	}
}
