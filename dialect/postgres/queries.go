package postgres

import (
	"embed"
	"strings"
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

	sqlAcquire = load("acquire")
	sqlRelease = load("release")
	sqlGuard   = load("guard")
	sqlFree    = load("free")

	sqlLook  = load("look")
	sqlList  = load("list")
	sqlPurge = load("purge")
)

// load reads an embedded statement without its comment lines, which are for the reader of the file and not for
// the server's logs. A file that isn't there is a mistake in the list above, found by any test.
func load(name string) string {
	text, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String())
}
