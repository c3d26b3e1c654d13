package postgres

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/internal/enginetest"
)

var statements = []string{
	sqlServer, sqlSchema,
	sqlCreateLease, sqlRenewLease, sqlBuryLeases, sqlBuryExpired, sqlDeleteLeases,
	sqlAcquire, sqlMakeLock, sqlRelease, sqlGuard, sqlRaise, sqlFree,
	sqlAcquireMany, sqlReleaseMany, sqlHandOver, sqlHandFree,
	sqlEnqueue, sqlDequeue, sqlQueue, sqlHolding, sqlPass, sqlPurgeWaiters, sqlNotify,
	sqlRecall, sqlRemember, sqlClaimOutcome, sqlSettleOutcome, sqlPurgeOutcomes,
	sqlLook, sqlList, sqlPurge,
	sqlTxLock, sqlTxShare, sqlTxTryLock, sqlTxTryShare,
	sqlCheck, sqlCheckClock, sqlCheckLimits,
}

// sessionStatements are for sessions alone, which no pooler is between.
var sessionStatements = []string{sqlSession, sqlSessionSettings, sqlSessionTry, sqlSessionUnlock, sqlSessionHolders}

func TestEveryFileIsUsed(t *testing.T) {
	enginetest.Files(t, files, load, slices.Concat(statements, sessionStatements))
}

func TestStatementsArePoolerSafe(t *testing.T) {
	uncast := regexp.MustCompile(`\$\d+(\D|$)`)
	session := regexp.MustCompile(`(?i)\b(set\s+local|set\s+session|prepare|listen|temp|temporary|pg_(try_)?advisory_(un)?lock\w*)\b`)
	staleClock := regexp.MustCompile(`(?i)\b(now\s*\(|current_timestamp|localtimestamp|statement_timestamp)`)
	for _, text := range statements {
		for _, at := range uncast.FindAllStringIndex(text, -1) {
			if !strings.HasPrefix(text[at[1]-1:], "::") {
				t.Errorf("a parameter has no cast, so its type depends on the query mode: %s", text)
			}
		}
		for _, bad := range []*regexp.Regexp{session, staleClock} {
			if found := bad.FindString(text); found != "" {
				t.Errorf("%q in: %s", found, text)
			}
		}
		if strings.Contains(text, ";") || strings.Contains(text, "--") {
			t.Errorf("not one bare statement: %s", text)
		}
	}
}

// By what they read, others decide: a read/write splitter must take them for statements that write.
func TestWhatDecidesIsReadFromThePrimary(t *testing.T) {
	for _, text := range []string{sqlLook, sqlList, sqlRecall} {
		if !strings.HasPrefix(text, "WITH primary_only AS (") || !strings.Contains(text, "DELETE FROM") {
			t.Errorf("a splitter may send it to a replica: %s", text)
		}
	}
}
