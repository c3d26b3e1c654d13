package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
)

const grantsLong = `Print the statements that give an account no more rights on sqllock's tables than its role needs:
  application  takes locks: what uses package sqllock, and run, elect, doctor
  reader       ls, show, wait
  operator     reader, and break; the record of a break can't be changed or deleted
The account must exist. Run the statements in the database, and on PostgreSQL in the schema, of sqllock's tables.
sqllock-migrate needs an account that may create tables and views. SQLite has no accounts: the rights are those of the
file.`

// The roles.
const (
	application = "application"
	reader      = "reader"
	operatorOf  = "operator"
)

var roles = []string{application, reader, operatorOf}

// tableRights are the rights of a role on a table.
type tableRights struct {
	table  string
	rights []string
}

// rightsOf returns the rights of a role, in the order of the tables.
func rightsOf(role string) []tableRights {
	all := []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	read := []string{"SELECT"}
	leases, locks, waiters, outcomes, breaks := read, read, read, read, read
	switch role {
	case application: // any of its processes may be the one that purges old breaks
		leases, locks, waiters, outcomes = all, all, all, all
		breaks = []string{"SELECT", "INSERT", "DELETE"}
	case operatorOf: // a release passes the lock on to the first waiter, and --wait ends the lease of a dead holder
		leases, locks = []string{"SELECT", "UPDATE", "DELETE"}, []string{"SELECT", "UPDATE"}
		waiters = []string{"SELECT", "UPDATE", "DELETE"}
		breaks = []string{"SELECT", "INSERT"}
	}
	return []tableRights{
		{"sqllock_leases", leases},
		{"sqllock_locks", locks},
		{"sqllock_waiters", waiters},
		{"sqllock_outcomes", outcomes},
		{"sqllock_breaks", breaks},
		{"sqllock_held", read},
		{"sqllock_schema", read},
	}
}

// versionTable has the version of the tables, unless another tool has made them.
const versionTable = "sqllock_schema_migrations"

func (a *app) grants() *cobra.Command {
	var role, account string
	cmd := &cobra.Command{
		Use:     "grants ENGINE --role application|reader|operator",
		Short:   "Print the SQL that gives an account the rights of a role",
		Long:    grantsLong,
		Example: "  sqllock grants postgres --role application --account app | psql",
		Args:    cli.Arguments(1, 1, "the ENGINE: "+strings.Join(engineNames, ", ")),
		RunE: func(_ *cobra.Command, args []string) error {
			engine, err := engineOf(args[0])
			switch {
			case err != nil:
				return err
			case !slices.Contains(roles, role):
				return cli.Usagef("--role %q: want one of %s", role, strings.Join(roles, ", "))
			case engine == engineSQLite:
				return cli.Usagef("SQLite has no accounts: the right to write the file and its folder is the right " +
					"to everything")
			}
			if account == "" {
				account = "sqllock_" + role
			}
			a.document.SQL = grantStatements(engine, role, account)
			a.print("%s", a.document.SQL)
			return nil
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "application, reader or operator")
	cmd.Flags().StringVar(&account, "account", "", "the `name` of the account, on MySQL also name@host (default "+
		"sqllock_ROLE)")
	return cmd
}

// grantStatements returns the statements for an account.
func grantStatements(engine, role, account string) string {
	to := identifier(engine, account)
	if engine == engineMySQL {
		name, host, found := strings.Cut(account, "@")
		if !found {
			host = "%"
		}
		to = literal(engine, name) + "@" + literal(engine, host)
	}
	lines := []string{fmt.Sprintf("-- The rights of the role %s for %s.", role, to)}
	if engine == enginePostgres {
		lines = append(lines, fmt.Sprintf("DO $sqllock$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %%I TO %%I', "+
			"current_schema(), %s); END $sqllock$;", literal(engine, account)))
	}
	for _, t := range rightsOf(role) {
		lines = append(lines, fmt.Sprintf("GRANT %s ON %s TO %s;", strings.Join(t.rights, ", "), t.table, to))
	}
	lines = append(lines, "-- Leave this out if another tool than sqllock-migrate has made the tables.",
		fmt.Sprintf("GRANT SELECT ON %s TO %s;", versionTable, to))
	return strings.Join(lines, "\n")
}
