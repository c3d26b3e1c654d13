package sqlserver

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

var statements = []string{
	sqlServer, sqlSchema, sqlCompatible, sqlIdentity, sqlVersioned, sqlCheck, sqlCheckClock, sqlClock,
	sqlCreateLease, sqlRenewLease, sqlExpireLease, sqlSeeLease, sqlOverlong, sqlEndBar,
	sqlDeleteExpired, sqlDeleteLease,
	sqlAcquire, sqlSeeLock, sqlInsertLock, sqlAwaitLock, sqlRelease, sqlGuard, sqlAdvanceFence,
	sqlFree, sqlPurge, sqlRemoveLock, sqlLocate,
	sqlTrySession, sqlUnlockSession, sqlSession, sqlSessionHolder, sqlSessionInfo, sqlLockTx,
	sqlGet, sqlList, sqlLeases,
	sqlRecall, sqlInsertOutcome, sqlRememberTx, sqlClaimOutcome, sqlMakeClaim, sqlPurgeOutcomes,
	sqlBreak, sqlSeeBreak, sqlListBreaks, sqlPurgeBreaks,
	sqlEnqueue, sqlDequeue, sqlQueue, sqlListWaiters, sqlWaitingHolders, sqlTransfer, sqlPurgeWaiters,
}

func TestEveryFileIsUsed(t *testing.T) { enginetest.Files(t, files, load, statements) }

// SQL Server's documentation requires these hints. A server that ignores hints doesn't show a
// mistake.
func TestStatements(t *testing.T) {
	bad := map[string]*regexp.Regexp{
		"a clock in local time, or of 3 " +
			"ms": regexp.MustCompile(`(?i)\b(GETDATE|GETUTCDATE|SYSDATETIME|CURRENT_TIMESTAMP|SYSDATETIMEOFFSET)\b`),
		"a function that only SQL Server 2022 " +
			"has": regexp.MustCompile(`(?i)\b(GREATEST|LEAST|DATETRUNC|GENERATE_SERIES)\b`),
		"DATEADD of what is no int":                 regexp.MustCompile(`DATEADD\((micro)?second, -?[^C-]`),
		"MERGE":                                     regexp.MustCompile(`(?i)\bMERGE\b`),
		"quotes that QUOTED_IDENTIFIER changes":     regexp.MustCompile(`"`),
		"a text that isn't ended":                   regexp.MustCompile(`[^;]$`),
		"a comparison with a parameter of any type": regexp.MustCompile(`(name|owner|id) = @p\d`),
	}
	hints := regexp.MustCompile(`WITH \(([A-Z, ]+)\)`)
	for _, text := range statements {
		for why, pattern := range bad {
			// not compared, but set
			assignments := strings.ReplaceAll(text, "lease_id    = @p4", "")
			if found := pattern.FindString(assignments); found != "" && !(text == sqlSessionHolder &&
				found == "GETDATE") {
				t.Errorf("%s: %q in: %s", why, found, text)
			}
		}
		for _, match := range hints.FindAllStringSubmatch(text, -1) {
			has := func(hint string) bool {
				return strings.Contains(","+strings.ReplaceAll(match[1], " ", "")+",", ","+hint+",")
			}
			if has("READPAST") && !has("READCOMMITTEDLOCK") {
				t.Errorf("an error under READ_COMMITTED_SNAPSHOT: %s", text)
			}
			if has("UPDLOCK") && has("READCOMMITTEDLOCK") {
				t.Errorf("UPDLOCK makes the server ignore READCOMMITTEDLOCK: %s", text)
			}
		}
		if writes := regexp.MustCompile(`\b(UPDATE|DELETE)\b`).MatchString(text); writes &&
			!strings.Contains(text, "OUTPUT ") && !strings.Contains(text, "@@ROWCOUNT") {
			t.Errorf("what it did is not known under NOCOUNT: %s", text)
		}
	}
}

func TestReads(t *testing.T) {
	r := uncommitted
	for _, text := range []string{r.get, r.list, r.leases, r.queue, r.listWaiters, r.waitingHolders, r.breaks} {
		if strings.Contains(text, "(READCOMMITTED)") || !strings.Contains(text, "(READUNCOMMITTED)") {
			t.Errorf("this waits where there are no row versions: %s", text)
		}
	}
}
