package mysql

import (
	"embed"
	"strings"
)

//go:embed sql/*.sql
var files embed.FS

var (
	sqlVersion = load("version")
	sqlCluster = load("cluster")
	sqlSession = load("session")
	sqlEngines = load("engines")
	sqlSchema  = load("schema")

	sqlCreateLease      = load("create_lease")
	sqlRenewLease       = load("renew_lease")
	sqlSeeLease         = load("see_lease")
	sqlSeeLeaseGalera   = "SET STATEMENT wsrep_sync_wait = 1 FOR " + sqlSeeLease
	sqlBuryLease        = load("bury_lease")
	sqlExpiredLeases    = load("expired_leases")
	sqlBuryExpiredLease = load("bury_expired_lease")
	sqlDeleteLease      = load("delete_lease")
	sqlLeases           = load("leases")

	sqlAcquireMySQL   = load("acquire_mysql")
	sqlAcquireMariaDB = load("acquire_mariadb")
	sqlInsertLock     = load("insert_lock")
	sqlSeeLock        = load("see_lock")
	sqlSettleLock     = load("settle_lock")
	sqlRelease        = load("release")
	sqlGuard          = load("guard")
	sqlFree           = load("free")

	sqlLook      = load("look")
	sqlList      = load("list")
	sqlIdleLocks = load("idle_locks")
	sqlPurgeLock = load("purge_lock")
)

// load reads an embedded statement, without its comments and on one line: those are for the reader of the file, and
// the rules of read/write splitters are often written for one line. A file that isn't there is a mistake in the list
// above, found by any test.
func load(name string) string {
	text, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	var words []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "--") {
			words = append(words, strings.Fields(line)...)
		}
	}
	return strings.Join(words, " ")
}
