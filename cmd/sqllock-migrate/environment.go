package main

import (
	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
)

// environment sets the flags that aren't on the command line from the environment. --source and
// --path mean the same, so neither is set if the other is given.
func (a *app) environment(cmd *cobra.Command) error {
	if err := a.named.Check(cmd); err != nil {
		return err
	}
	files := cmd.Flags().Changed("source") || cmd.Flags().Changed("path")
	return cli.Environment{File: a.env, Say: a.say, Skip: func(flag string) bool {
		return a.named.Skip(flag) || files && (flag == "source" || flag == "path") || isOwn(cmd) && isApplications(flag)
	}}.Apply(cmd)
}
