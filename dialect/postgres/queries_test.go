package postgres

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var statements = []string{
	sqlServer, sqlSchema,
	sqlCreateLease, sqlRenewLease, sqlBuryLeases, sqlBuryExpired, sqlDeleteLeases, sqlLeases,
	sqlAcquire, sqlRelease, sqlGuard, sqlFree,
	sqlLook, sqlList, sqlPurge,
}

func TestEveryFileIsUsed(t *testing.T) {
	names, err := fs.Glob(files, "sql/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "-- ") {
			t.Errorf("%s doesn't start by saying why", name)
		}
		if !slices.Contains(statements, load(strings.TrimSuffix(strings.TrimPrefix(name, "sql/"), ".sql"))) {
			t.Errorf("%s is not used", name)
		}
	}
	if len(names) != len(statements) {
		t.Errorf("%d files and %d statements", len(names), len(statements))
	}
}

func TestStatementsArePoolerSafe(t *testing.T) {
	uncast := regexp.MustCompile(`\$\d+(\D|$)`)
	session := regexp.MustCompile(`(?i)\b(set\s+local|set\s+session|prepare|listen|temp|temporary|pg_advisory\w*)\b`)
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
