package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
)

func (a *app) redo() *cobra.Command {
	return &cobra.Command{
		Use:   "redo [N]",
		Short: "Undo the last migration, or the last N, and apply it again from its current file",
		Args:  cli.Arguments(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := 1
			if len(args) == 1 {
				var err error
				if n, err = limit(args); err != nil {
					return err
				}
			}
			return a.migrate(cmd, func(ctx context.Context, m *migrations.Migrator) ([]migrations.Step, error) {
				return m.Redo(ctx, n)
			})
		},
	}
}

func (a *app) repair() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Accept edited files as they are, and late migrations as applied",
		Long: "Accept the files as they are, after showing what that means: edited files count as what was " +
			"applied, and late migrations count as applied. repair changes only the history, and no other table.",
		Args: cli.Arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(m *migrations.Migrator) error {
				status, err := m.Status(cmd.Context())
				if err != nil {
					return err
				}
				for _, one := range status.Migrations {
					if one.State == migrations.StateEdited {
						a.say("%s was edited after it was applied, and will count as what was applied", one.Up)
					}
					if one.State == migrations.StateLate {
						a.say("version %d, %s, is late, and will count as applied", one.Version, one.Name)
					}
				}
				if !force && status.Count(migrations.StateEdited, migrations.StateLate) > 0 {
					if err := a.confirm(cmd.Context(), "Are you sure you want to record that?",
						"Recording that", "Not recording that"); err != nil {
						return err
					}
				}
				records, err := m.Repair(cmd.Context())
				if err != nil {
					return err
				}
				for _, r := range records {
					a.result.Repaired = append(a.result.Repaired, migration{
						Version: r.Version, Name: r.Name, State: migrations.StateApplied,
						How: r.How, Checksum: r.Checksum,
					})
				}
				a.say("repaired %d", len(records))
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "don't ask")
	return cmd
}

// invalidFolderError reports that no run would accept a folder.
type invalidFolderError struct{ problems int }

func (e *invalidFolderError) Error() string {
	return fmt.Sprintf("the migrations can't be applied: %d to fix", e.problems)
}

func (a *app) validate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check a folder of migrations, without a database",
		Long: "Check the folder of --source, without a database. It finds duplicate versions and versions that " +
			"can't be recorded, backup copies, files that are ignored because of their names, missing up or down " +
			"files, and texts that aren't UTF-8. Exit code 1 means that something must be fixed before the folder " +
			"can be applied; the rest are warnings.",
		Args: cli.Arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.result.Command = cli.CommandName(cmd)
			if err := a.checkTables(cmd); err != nil {
				return err
			}
			folder, err := a.existingFolder()
			if err != nil {
				return err
			}
			problems, err := migrations.Validate(os.DirFS(folder))
			if err != nil {
				return err
			}
			return a.problems(problems)
		},
	}
}

func (a *app) problems(list []migrations.Problem) error {
	fatal := 0
	for _, p := range list {
		severity := "warning"
		if p.Fatal {
			severity = "error"
			fatal++
		}
		a.result.Problems = append(a.result.Problems, problem{File: p.File, Severity: severity, Message: p.Message})
		if err := a.print(fmt.Sprintf("%s: %s: %s", p.File, severity, p.Message)); err != nil {
			return err
		}
	}
	if fatal > 0 {
		return &invalidFolderError{fatal}
	}
	return nil
}
