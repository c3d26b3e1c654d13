package sqlserver

import (
	"errors"
	"fmt"
	"slices"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/internal/sqltext"
	"github.com/sqllock/sqllock/migrations"
)

// transaction checks @@TRANCOUNT before it commits. Transactions nest, so one that a file left open
// would turn COMMIT into a no-op.
var transaction = migrations.Transaction{
	Begin: "BEGIN TRANSACTION",
	Commit: "IF @@TRANCOUNT = 1 COMMIT TRANSACTION ELSE RAISERROR ('the migration has begun a transaction without " +
		"ending it, or has ended the one that it was in', 16, 1)",
	Rollback: "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION",
	Wrap:     wrap,
	Refused:  refused,
}

// wrap keeps a file that begins or ends transactions outside of one. It searches all words of a
// statement, because a batch needs no ; between statements.
func wrap(text string) migrations.Wrap {
	for _, s := range sqltext.Split(text, sqltext.SQLServer) {
		for _, word := range []string{"COMMIT", "ROLLBACK", "TRANSACTION", "TRAN"} {
			if slices.Contains(s.Words, word) {
				why := fmt.Sprintf("%s in the statement at line %d begins or ends a transaction",
					word, sqltext.Line(text, s.Start))
				return migrations.Wrap{Text: text, Apart: why}
			}
		}
	}
	return migrations.Wrap{Text: text}
}

// refused reports whether the server refused to execute a statement in a transaction: CREATE
// DATABASE and the like (226), procedures (15002), BACKUP (3021), full-text search (574).
func refused(err error) bool {
	e, ok := errors.AsType[mssql.Error](migrations.Cause(err))
	return ok && slices.Contains([]int32{226, 574, 3021, 15002}, e.Number)
}
