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

// standIn is another product than the engine, which stands in for it.
type standIn struct {
	name  string // empty: it is the engine itself
	lacks []lack
}

// lack is tests, by a regular expression for their names, that ask for what a server can't do.
type lack struct{ tests, why string }

// StandIn is the name of the product that stands in for the engine: Babelfish. Empty: it is the engine itself.
func (s *Server) StandIn(t testing.TB) string { return s.isA(t).name }

// Lacking skips the test, loudly, if it asks for what this server can't do because it is another product than the
// engine that it stands in for.
func (s *Server) Lacking(t testing.TB) {
	t.Helper()
	for _, l := range s.isA(t).lacks {
		if regexp.MustCompile(l.tests).MatchString(t.Name()) {
			skip(t, l.why)
		}
	}
}

// isA asks the server, the first time, what it is.
func (s *Server) isA(t testing.TB) standIn {
	t.Helper()
	if s.engine.isA == nil {
		return standIn{}
	}
	s.asked.Do(func() { s.standIn, s.err = s.engine.isA(s.url) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.standIn
}

// unnumbered is the number of an error that Babelfish has no number for.
const unnumbered = 33557097

// unmodified is what a Babelfish can't do as it comes. One that numbers errors was mended by hand.
var unmodified = []lack{
	{`/errors/(no_tables|an_older_schema)$|^TestRefused/`, "Babelfish doesn't number the error for a missing table"},
	{
		`/guard/no|/isolation/.*/ours$|/blocked/the_other_locks_of_a_batch$`,
		"Babelfish doesn't number the error for a lock time-out",
	},
	{`^TestSession|^TestTx|^TestPromises|/sqlserver/(session|tx|kinds|check)`, "Babelfish panics at the fifth sp_getapplock that is refused"},
}

// babelfish tells a Babelfish for PostgreSQL, and what it can't be tested for, from a SQL Server.
func babelfish(root *url.URL) (standIn, error) {
	db, err := openSQLServer(root)
	if err != nil {
		return standIn{}, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var banner string
	if err := db.QueryRowContext(ctx, "SELECT @@VERSION").Scan(&banner); err != nil {
		return standIn{}, fmt.Errorf("asking %s what it is: %w", root.Redacted(), err)
	}
	if !strings.HasPrefix(banner, "Babelfish") {
		return standIn{}, nil
	}
	const noHints, noCancel = "Babelfish takes no notice of READPAST", "Babelfish doesn't cancel a statement when it is told to"
	lacks := []lack{
		{`/blocked/the_reaper's_leases$|/waiters_blocked/PurgeWaiters_passes_over$|/purge_outcomes/passes_over$`, noHints},
		{`/claims/Serializable/(others_wait|once)$`, "Babelfish doesn't number the error for a serialization failure"},
		{`/blocked/a_release_whose_caller_gives_up$`, noCancel},
		{`^TestCancelled/`, noCancel},
		{`^TestMigrateLockTwenty/`, "Babelfish has a second's work with each new connection, and this makes sixty at once"},
		{`^TestMigrateCLISource/`, "Babelfish has no sp_MSforeachtable, by which golang-migrate drops everything"},
	}
	var answer mssql.Error
	_, err = db.ExecContext(ctx, "SELECT 1 FROM sqllock_there_is_no_such_table")
	if errors.As(err, &answer) && answer.Number == unnumbered {
		lacks = append(lacks, unmodified...)
	}
	return standIn{name: "Babelfish", lacks: lacks}, nil
}
