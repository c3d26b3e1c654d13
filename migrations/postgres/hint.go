package postgres

import (
	"regexp"
	"strings"
)

var (
	concurrently = regexp.MustCompile(`(?i)\b(?:CREATE\s+(?:UNIQUE\s+)?INDEX|REINDEX)\b[^;]*\bCONCURRENTLY\b`)
	psql         = regexp.MustCompile(`(?m)^[ \t]*(\\[a-zA-Z!?.]+)`)
)

// invalid is a query for indexes that are invalid and not being created.
const invalid = `SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index i WHERE NOT i.indisvalid
AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) ORDER BY 1`

// hint knows what a failed CREATE INDEX CONCURRENTLY leaves behind, and recognizes commands of psql
// that the server doesn't know.
func hint(_ error, text string, query func(string) []string) string {
	if concurrently.MatchString(text) {
		if left := query(invalid); len(left) > 0 {
			return "CREATE INDEX CONCURRENTLY leaves an index that is invalid where it fails; with IF NOT EXISTS " +
				"the next run would take it for the real one. Invalid are: " + strings.Join(left, ", ") +
				". Drop what the file was to make before it is run again: " +
				"DROP INDEX CONCURRENTLY " + strings.Join(left, "; DROP INDEX CONCURRENTLY ") + ";"
		}
	}
	if match := psql.FindStringSubmatch(text); match != nil {
		return match[1] + " is a command of psql, and the server doesn't know it: leave it out."
	}
	return ""
}
