package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/migrations"
)

func (a *app) up() *cobra.Command {
	return &cobra.Command{
		Use:   "up [N]",
		Short: "Apply all pending migrations, or the next N",
		Args:  argument(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := migrations.All
			if len(args) == 1 {
				var err error
				if n, err = limit(args); err != nil {
					return err
				}
			}
			return a.migrate(cmd, func(ctx context.Context, m *migrations.Migrator) ([]migrations.Step, error) {
				return m.Up(ctx, n)
			})
		},
	}
}

func (a *app) down() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down [N]",
		Short: "Take back the last N migrations, or all after asking",
		Args:  argument(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := migrations.All
			var err error
			switch {
			case all && len(args) > 0:
				return usagef("--all cannot be used with other arguments")
			case len(args) == 1:
				n, err = limit(args)
			case !all:
				err = a.confirm(cmd.Context(), "Are you sure you want to apply all down migrations?", "Applying all down migrations",
					"Not applying all down migrations")
			}
			if err != nil {
				return err
			}
			return a.migrate(cmd, func(ctx context.Context, m *migrations.Migrator) ([]migrations.Step, error) {
				return m.Down(ctx, n)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "take back all, without asking")
	return cmd
}

func (a *app) goTo() *cobra.Command {
	return &cobra.Command{
		Use:   "goto V",
		Short: "Migrate up or down to version V",
		Args:  argument(1, 1, "the version V to migrate to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := strconv.ParseUint(args[0], 10, 63)
			if err != nil {
				return usagef("V is %q: want a version, a number from 0", args[0])
			}
			return a.migrate(cmd, func(ctx context.Context, m *migrations.Migrator) ([]migrations.Step, error) {
				return m.Goto(ctx, uint(v))
			})
		},
	}
}

// migrate does up, down or goto.
func (a *app) migrate(cmd *cobra.Command, do func(context.Context, *migrations.Migrator) ([]migrations.Step, error)) error {
	return a.with(cmd.Name(), func(m *migrations.Migrator) error {
		steps, err := do(cmd.Context(), m)
		if err == nil && len(steps) == 0 {
			a.say("no change")
		}
		if len(steps) == 0 {
			a.result.Applied = nil // what it told of as it went was undone again
		}
		var connect *migrations.ConnectError
		var locked *migrations.LockTimeoutError
		if a.json && !errors.As(err, &connect) && !errors.As(err, &locked) {
			// Also after a failure: it is what the reader wants to know next.
			if at, dirty, err := m.Version(context.WithoutCancel(cmd.Context())); err == nil {
				a.at(at, dirty)
			}
		}
		return err
	})
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version that the database is at",
		Args:  argument(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Name(), func(m *migrations.Migrator) error {
				at, dirty, err := m.Version(cmd.Context())
				if err != nil {
					return err
				}
				a.at(at, dirty)
				switch {
				case at < 0 && !dirty:
					return errNoMigration
				case dirty:
					return a.print(strconv.Itoa(at) + " (dirty)")
				}
				return a.print(at)
			})
		},
	}
}

func (a *app) force() *cobra.Command {
	return &cobra.Command{
		Use:   "force V",
		Short: "Record version V, and not dirty, without migrating; -1 is none",
		Args:  argument(1, 1, "the version V to record; -1 is none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := strconv.ParseInt(args[0], 10, 63)
			if err != nil || v < -1 {
				return usagef("V is %q: want a version, a number from -1, which is none", args[0])
			}
			return a.with(cmd.Name(), func(m *migrations.Migrator) error {
				if err := m.Force(cmd.Context(), int(v)); err != nil {
					return err
				}
				a.at(int(v), false)
				return nil
			})
		},
	}
}

func (a *app) drop() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "drop",
		Short: "Drop sqllock's tables; with --source, everything in the database",
		Long: "Drop sqllock's own tables, all locks with them, and no others. With --source, drop everything in the database, " +
			"as golang-migrate does.",
		Args: argument(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			what := "the entire database schema"
			if a.own() {
				what = "sqllock's tables, and all locks with them"
			}
			if !force {
				if err := a.confirm(cmd.Context(), "Are you sure you want to drop "+what+"?", "Dropping "+what,
					"Aborted dropping "+what); err != nil {
					return err
				}
			}
			return a.with(cmd.Name(), func(m *migrations.Migrator) error { return m.Drop(cmd.Context()) })
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "don't ask")
	return cmd
}
