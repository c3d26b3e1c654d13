package postgres

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/internal/sqltext"
	"github.com/sqllock/sqllock/migrations"
)

var transaction = migrations.Transaction{
	Begin: "BEGIN", Commit: "COMMIT", Rollback: "ROLLBACK",
	Wrap: wrap, Refused: refused, Ended: ended,
}

// wrap removes a BEGIN and a COMMIT that enclose the whole file, because the transaction replaces
// them. Any other statement that controls transactions keeps the file outside a transaction, and so
// does a statement that PostgreSQL refuses in one.
func wrap(text string) migrations.Wrap {
	all := sqltext.Split(text, sqltext.PostgreSQL)
	w := migrations.Wrap{Text: text}
	inside := all
	if n := len(all); n >= 2 && begins(all[0].Words) && commits(all[n-1].Words) {
		inside = all[1 : n-1]
		w.Begin = text[all[0].Start:all[0].End]
		w.Text = sqltext.Blank(sqltext.Blank(text, all[n-1].Start, all[n-1].End), all[0].Start, all[0].End)
	}
	for _, s := range inside {
		var why string
		switch {
		case controls(s.Words):
			why = "%s in line %d begins or ends a transaction"
		case standsAlone(s.Words):
			why = "%s in line %d can't be carried out in a transaction"
		default:
			continue
		}
		name := strings.Join(s.Words[:min(len(s.Words), 4)], " ")
		return migrations.Wrap{Text: text, Apart: fmt.Sprintf(why, name, sqltext.Line(text, s.Start))}
	}
	return w
}

// begins reports whether a statement begins a transaction that can write.
func begins(words []string) bool {
	switch {
	case len(words) == 0, slices.Contains(words, "ONLY"):
		return false
	case words[0] == "BEGIN":
		return true
	}
	return len(words) > 1 && words[0] == "START" && words[1] == "TRANSACTION"
}

// commits reports whether a statement commits and does nothing else.
func commits(words []string) bool {
	if len(words) == 0 || words[0] != "COMMIT" && words[0] != "END" {
		return false
	}
	return len(words) == 1 || len(words) == 2 && (words[1] == "WORK" || words[1] == "TRANSACTION")
}

// controls reports whether a statement begins or ends a transaction.
func controls(words []string) bool {
	if len(words) == 0 {
		return false
	}
	switch words[0] {
	case "BEGIN", "START", "COMMIT", "END", "ABORT":
		return true
	case "ROLLBACK":
		return !slices.Contains(words, "TO")
	case "PREPARE":
		return len(words) > 1 && words[1] == "TRANSACTION"
	}
	return false
}

// standsAlone reports whether PostgreSQL refuses a statement in a transaction, as far as its words
// show. For other statements the server's error shows it: see refused.
func standsAlone(words []string) bool {
	if len(words) == 0 {
		return false
	}
	second := ""
	if len(words) > 1 {
		second = words[1]
	}
	concurrently := slices.Contains(words, "CONCURRENTLY")
	switch words[0] {
	case "VACUUM":
		return true
	case "CREATE", "DROP":
		return second == "DATABASE" || second == "TABLESPACE" || concurrently && slices.Contains(words, "INDEX")
	case "ALTER":
		return second == "SYSTEM" || concurrently && slices.Contains(words, "DETACH")
	case "REINDEX":
		return concurrently || second == "DATABASE" || second == "SYSTEM" || second == "SCHEMA"
	case "CLUSTER":
		return second == "" || second == "VERBOSE" && len(words) == 2
	case "DISCARD":
		return second == "ALL"
	}
	return false
}

// refused reports whether the server refused to execute a statement in a transaction: one that
// standsAlone doesn't know, or a procedure that commits.
func refused(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](migrations.Cause(err))
	return ok && (pg.Code == pgerrcode.ActiveSQLTransaction || pg.Code == pgerrcode.InvalidTransactionTermination)
}

// refusedApart is like refused for statements that are sent one by one. It also matches the error
// that a new value of an enum can be used only after a commit.
func refusedApart(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](migrations.Cause(err))
	return refused(err) || ok && pg.Code == pgerrcode.UnsafeNewEnumValueUsage
}

// ended reports whether the server's last message says that the connection is in no transaction.
func ended(conn driver.Conn) bool {
	c, ok := conn.(*stdlib.Conn)
	return ok && !c.Conn().IsClosed() && c.Conn().PgConn().TxStatus() == 'I'
}
