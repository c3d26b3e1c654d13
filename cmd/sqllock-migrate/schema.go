package main

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
)

// schema is the command for people whose tables are made by another tool.
func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema ENGINE",
		Short: "Print the SQL that makes sqllock's own tables, without a database",
		Long: "Print the SQL that makes sqllock's own tables on an engine (" + strings.Join(open.Schemes(), ", ") +
			"), for a migration tool of your own: the migrations of `own up`, in their order. A later version of " +
			"sqllock may add migrations at the end, and changes none. Without the version table that `own up` " +
			"keeps, a program tries whether it can use the tables.",
		Example: "  sqllock-migrate schema postgres > db/migrations/0042_sqllock.sql",
		Args:    cli.Arguments(1, 1, "the ENGINE: "+strings.Join(open.Schemes(), ", ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.result.Command = cli.CommandName(cmd)
			if !slices.Contains(open.Schemes(), args[0]) {
				return cli.Usagef("there is no engine %q; there are %s", args[0], strings.Join(open.Schemes(), ", "))
			}
			engine, err := open.Migrations(args[0] + "://")
			if err != nil {
				return err
			}
			if a.result.SQL, err = ownSQL(engine); err != nil {
				return err
			}
			return a.print(strings.TrimSuffix(a.result.SQL, "\n"))
		},
	}
}

// ownSQL returns the text of all migrations of sqllock's own tables, each under its file's name.
func ownSQL(engine *migrations.Engine) (string, error) {
	names, err := fs.Glob(engine.Files, "*.up.sql")
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, name := range names { // in the order of their versions
		text, err := fs.ReadFile(engine.Files, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "-- %s of sqllock\n%s\n", name, strings.TrimRight(string(text), "\n"))
	}
	return all.String(), nil
}
