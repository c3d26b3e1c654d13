package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
)

const guardLong = `Print the statement that makes sure, inside a transaction of a script, that the lock of the
surrounding sqllock run or elect is still held, and stays held until the transaction has ended: Lock.Guard for psql,
mysql, sqlite3 and sqlcmd. Put it last, right before COMMIT. If the lock is lost, the statement fails, and nothing may
be committed:

  psql      the transaction is aborted, so COMMIT rolls back; -v ON_ERROR_STOP=1 gives the exit code
  mysql     the client ends at the error, unless --force is given, and the server rolls back. The statement guards on
            one server; the members of a Galera cluster don't see it
  sqlite3   the statement rolls back; use -bail, so that the client ends then. Begin with BEGIN IMMEDIATE
  sqlcmd    the statement rolls back and throws; use -b

The ENGINE is that of the database URL, if it isn't given. The lock is that of SQLLOCK_NAME, SQLLOCK_OWNER and
SQLLOCK_SLOT, which run and elect set. If several locks are held, there is a statement for each.`

const guardExample = `  sqllock run books --shell -- '
    (echo "BEGIN;"; cat changes.sql; sqllock guard-sql postgres; echo "COMMIT;") | psql -v ON_ERROR_STOP=1'`

func (a *app) guardSQL() *cobra.Command {
	return &cobra.Command{
		Use:     "guard-sql [ENGINE]",
		Short:   "Print the statement that checks the lock in a script's own transaction",
		Long:    guardLong,
		Example: guardExample,
		Args:    cli.Arguments(0, 1, ""),
		RunE: func(_ *cobra.Command, args []string) error {
			engine, err := a.engine(args)
			if err != nil {
				return err
			}
			guarded, err := claimsOfEnvironment()
			if err != nil {
				return err
			}
			var statements []string
			for _, g := range guarded {
				statements = append(statements, guardStatement(engine, g))
			}
			a.document.SQL = strings.Join(statements, "\n")
			a.print("%s", a.document.SQL)
			return nil
		},
	}
}

// engine returns the engine of the argument, or of the database URL.
func (a *app) engine(args []string) (string, error) {
	if len(args) > 0 {
		return engineOf(args[0])
	}
	url, err := a.database.URL()
	if err != nil {
		return "", cli.Usagef("which engine? Name one of %s, or give a database URL", strings.Join(engineNames, ", "))
	}
	scheme, _, _ := strings.Cut(url, "://")
	return engineOf(scheme)
}

// guarded is a lock as a statement names it.
type guarded struct {
	name, owner string
	slot        int
}

// claimsOfEnvironment returns the locks of the surrounding run.
func claimsOfEnvironment() (all []guarded, err error) {
	if env(envOwner) == "" || env(envSlot) == "" {
		return nil, cli.Usagef("guard-sql works inside of `sqllock run` and `sqllock elect`, which set SQLLOCK_NAME, " +
			"SQLLOCK_OWNER and SQLLOCK_SLOT; a session lock has no row that could be checked")
	}
	names, owners, slots := lines(envName), lines(envOwner), lines(envSlot)
	if len(names) != len(owners) || len(owners) != len(slots) {
		return nil, cli.Usagef("SQLLOCK_NAME, SQLLOCK_OWNER and SQLLOCK_SLOT have %d, %d and %d lines; they must have "+
			"a line for each lock", len(names), len(owners), len(slots))
	}
	for i, name := range names {
		slot, err := strconv.Atoi(slots[i])
		if err != nil {
			return nil, cli.Usagef("SQLLOCK_SLOT is %q: want a number", slots[i])
		}
		all = append(all, guarded{name: name, owner: owners[i], slot: slot})
	}
	return all, nil
}

func lines(variable string) []string { return strings.Split(env(variable), "\n") }

// guardStatement returns the statement for one lock. Each engine locks the row as Lock.Guard does.
func guardStatement(engine string, g guarded) string {
	name, owner := literal(engine, g.name), literal(engine, g.owner)
	row := fmt.Sprintf("name = %s AND slot = %d AND owner = %s", name, g.slot, owner)
	lost := literal(engine, fmt.Sprintf("sqllock: lock lost: %q", g.name))
	switch engine {
	case enginePostgres:
		tag := "$sqllock$"
		for strings.Contains(row+lost, tag) {
			tag = strings.TrimSuffix(tag, "$") + "_$"
		}
		return fmt.Sprintf("DO %[1]s BEGIN PERFORM FROM sqllock_locks WHERE %[2]s FOR SHARE; IF NOT FOUND THEN RAISE "+
			"EXCEPTION USING MESSAGE = %[3]s; END IF; END %[1]s;", tag, row, lost)
	case engineMySQL: // there is no other way to fail in a plain statement than a subquery of two rows
		return fmt.Sprintf("SELECT CASE COUNT(*) WHEN 1 THEN 'sqllock: lock held' ELSE (SELECT 'lock lost' UNION "+
			"SELECT 'sqllock') END AS guard FROM sqllock_locks WHERE %s LOCK IN SHARE MODE;", row)
	case engineSQLServer:
		return fmt.Sprintf("UPDATE sqllock_locks WITH (ROWLOCK, READCOMMITTEDLOCK) SET note = note WHERE %s;\n"+
			"IF @@ROWCOUNT = 0 BEGIN IF @@TRANCOUNT > 0 ROLLBACK; THROW 50000, %s, 1; END;", row, lost)
	default: // the insert writes nothing if the lock is held, and takes SQLite's write lock all the same
		return fmt.Sprintf("INSERT OR ROLLBACK INTO sqllock_locks (name, slot) SELECT NULL, NULL WHERE NOT EXISTS "+
			"(SELECT 1 FROM sqllock_locks WHERE %s);", row)
	}
}
