package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
)

// own is the command for sqllock's own tables. It has the same verbs as those for the application's
// tables, but without --source.
func (a *app) own() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "own COMMAND",
		Short: "Migrate sqllock's own tables: own up, own status …",
		Long: "Create sqllock's own tables, bring them up to date, and show their status. Their version is kept " +
			"in the table sqllock_schema_migrations. A program does the same with migrations.Up.",
		Example: "  sqllock-migrate own up --database postgres://app@db/app",
		Args:    cli.UnknownCommand,
		RunE:    func(*cobra.Command, []string) error { return nil },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(a.up(), a.down(), a.goTo(), a.version(), a.status(), a.force(), a.drop())
	return cmd
}

// isOwn reports whether a command is about sqllock's own tables.
func isOwn(cmd *cobra.Command) bool { return cmd.HasParent() && cmd.Parent().Name() == "own" }

// applications are the flags that only apply to the application's migrations.
var applications = []string{"source", "path", "lock", "lock-ttl", "allow-missing"}

func isApplications(flag string) bool { return slices.Contains(applications, flag) }

// hasSource reports whether the application's migrations are named.
func (a *app) hasSource() bool { return a.source != "" || a.path != "" }

// checkTables returns an error if a command doesn't say whether it is about the application's or
// sqllock's own tables, or if its flags contradict it.
func (a *app) checkTables(cmd *cobra.Command) error {
	name := cli.CommandName(cmd)
	if !isOwn(cmd) {
		if a.hasSource() {
			return nil
		}
		return cli.Usagef("%s needs to know which tables to migrate: for your application's migrations write "+
			"`sqllock-migrate %[1]s --source DIR` (or -path DIR, as with migrate), for sqllock's own tables "+
			"`sqllock-migrate own %[1]s`", name)
	}
	for _, flag := range applications {
		if cmd.Flags().Changed(flag) {
			return cli.Usagef("%s takes no --%s: that is for your application's migrations, and %[1]s is for "+
				"sqllock's own tables", name, flag)
		}
	}
	return nil
}
