package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"
)

// substitute describes another product that stands in for the engine.
type substitute struct {
	name  string // empty if it is the engine itself
	lacks []lack
}

// lack names the tests that need something that a server can't do, by a regular expression for the
// tests' names.
type lack struct{ tests, why string }

// Substitute returns the name of the product that stands in for the engine, such as "Babelfish". It
// returns "" if the server is the engine itself.
func (s *Server) Substitute(t testing.TB) string { return s.isA(t).name }

// Lacking skips the test, with a line on stderr, if it needs something that this server can't do
// because it is another product that stands in for the engine.
func (s *Server) Lacking(t testing.TB) {
	t.Helper()
	for _, l := range s.isA(t).lacks {
		if regexp.MustCompile(l.tests).MatchString(t.Name()) {
			skip(t, l.why)
		}
	}
}

// isA returns which product the server is. The first call asks the server.
func (s *Server) isA(t testing.TB) substitute {
	t.Helper()
	if s.engine.isA == nil {
		return substitute{}
	}
	s.asked.Do(func() { s.substitute, s.err = s.engine.isA(s.url) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.substitute
}

// unnumbered is the error number that Babelfish reports for errors that it has no number for.
const unnumbered = 33557097

// unmodified lists what an unmodified Babelfish can't do. A Babelfish that numbers these errors has
// been patched.
var unmodified = []lack{
	{`/errors/(no_tables|an_older_schema)$|^TestRefused/`, "Babelfish has no number for the error of a missing table"},
	{
		`/guard/no|/isolation/.*/ours$|/blocked/the_other_locks_of_a_batch$`,
		"Babelfish has no number for the error of a lock timeout",
	},
	{
		`^TestSession|^TestTx|^TestPromises|/sqlserver/(session|tx|kinds|check)`,
		"Babelfish panics at the fifth sp_getapplock that is refused",
	},
}

// babelfish returns what the server is: a Babelfish for PostgreSQL, with the tests that can't run
// on it, or a SQL Server.
func babelfish(root *url.URL) (substitute, error) {
	db, err := openSQLServer(root)
	if err != nil {
		return substitute{}, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	var banner string
	if err := db.QueryRowContext(ctx, "SELECT @@VERSION").Scan(&banner); err != nil {
		return substitute{}, fmt.Errorf("asking %s what it is: %w", root.Redacted(), err)
	}
	if !strings.HasPrefix(banner, "Babelfish") {
		return substitute{}, nil
	}
	const (
		noHints  = "Babelfish ignores READPAST"
		noCancel = "Babelfish doesn't cancel a statement when the client asks for it"
	)
	lacks := []lack{
		{
			`/blocked/the_reaper's_leases$|/waiters_blocked/PurgeWaiters_passes_over$|/purge_outcomes/passes_over$`,
			noHints,
		},
		{
			`/claims/Serializable/(others_wait|once)$`,
			"Babelfish has no number for the error of a serialization failure",
		},
		{`/blocked/a_release_whose_caller_gives_up$`, noCancel},
		{`^TestCancelled/`, noCancel},
		{
			`^TestMigrateLockTwenty/`,
			"Babelfish needs a second for each new connection, and this test opens sixty at once",
		},
		{`^TestMigrateCLISource/`, "Babelfish has no sp_MSforeachtable, by which golang-migrate drops everything"},
	}
	var numbered mssql.Error
	_, err = db.ExecContext(ctx, "SELECT 1 FROM sqllock_there_is_no_such_table")
	if errors.As(err, &numbered) && numbered.Number == unnumbered {
		lacks = append(lacks, unmodified...)
	}
	return substitute{name: "Babelfish", lacks: lacks}, nil
}
