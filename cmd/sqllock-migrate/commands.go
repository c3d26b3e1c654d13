package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
)

// late adds the flag that allows late migrations. Commands for sqllock's own tables ignore it.
func (a *app) late(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.allowMissing, "allow-missing", false,
		"also apply late migrations (not applied although a later one was), before all others")
	return cmd
}

func (a *app) up() *cobra.Command {
	return a.late(&cobra.Command{
		Use:   "up [N]",
		Short: "Apply all pending migrations, or the next N",
		Args:  cli.Arguments(0, 1, ""),
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
	})
}

func (a *app) down() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down [N]",
		Short: "Undo the last N migrations, or all after asking",
		Args:  cli.Arguments(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := migrations.All
			err := a.checkTables(cmd) // before the question below
			switch {
			case err != nil:
			case all && len(args) > 0:
				return cli.Usagef("--all cannot be used with other arguments")
			case len(args) == 1:
				n, err = limit(args)
			case !all:
				err = a.confirm(cmd.Context(), "Are you sure you want to apply all down migrations?",
					"Applying all down migrations", "Not applying all down migrations")
			}
			if err != nil {
				return err
			}
			return a.migrate(cmd, func(ctx context.Context, m *migrations.Migrator) ([]migrations.Step, error) {
				return m.Down(ctx, n)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "undo all, without asking")
	return cmd
}

func (a *app) goTo() *cobra.Command {
	return a.late(&cobra.Command{
		Use:   "goto V",
		Short: "Migrate up or down to version V",
		Args:  cli.Arguments(1, 1, "the version V to migrate to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := strconv.ParseUint(args[0], 10, 63)
			if err != nil {
				return cli.Usagef("V is %q: want a version, a number from 0", args[0])
			}
			return a.migrate(cmd, func(ctx context.Context, m *migrations.Migrator) ([]migrations.Step, error) {
				return m.Goto(ctx, uint(v))
			})
		},
	})
}

// versionTimeout bounds the read of the version after a run, which may have been stopped.
const versionTimeout = 5 * time.Second

// migrate runs up, down, goto or redo.
func (a *app) migrate(
	cmd *cobra.Command, do func(context.Context, *migrations.Migrator) ([]migrations.Step, error),
) error {
	return a.with(cmd, func(m *migrations.Migrator) error {
		steps, err := do(cmd.Context(), m)
		if err == nil && len(steps) == 0 {
			a.say("no change")
		}
		if len(steps) == 0 {
			a.result.Applied = nil // the reported steps were undone again
		}
		var connect *migrations.ConnectError
		var locked *migrations.LockTimeoutError
		var stopped *migrations.StoppedError
		unanswered := errors.As(err, &stopped) && stopped.Unconfirmed
		if a.json && !unanswered && !errors.As(err, &connect) && !errors.As(err, &locked) {
			// The version is also read after a failure, because the reader needs it next.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), versionTimeout)
			defer cancel()
			if at, dirty, err := m.Version(ctx); err == nil {
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
		Args:  cli.Arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(m *migrations.Migrator) error {
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
		Short: "Record version V as not dirty, without migrating; -1 means none",
		Args:  cli.Arguments(1, 1, "the version V to record; -1 means none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := strconv.ParseInt(args[0], 10, 63)
			if err != nil || v < -1 {
				return cli.Usagef("V is %q: want a version, a number from -1, which means none", args[0])
			}
			return a.with(cmd, func(m *migrations.Migrator) error {
				if err := m.Force(cmd.Context(), int(v)); err != nil {
					return err
				}
				a.at(int(v), false)
				if _, known := m.File(int(v)); !known {
					a.warn("there is no migration of version %d: version %[1]d is recorded, and up and down won't "+
						"know where to go on from it", v)
				}
				return nil
			})
		},
	}
}

func (a *app) drop() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "drop",
		Short: "Drop everything in the database; own drop drops only sqllock's tables",
		Long: "Drop everything in the database, as golang-migrate does. own drop drops only sqllock's own tables, " +
			"and with them all locks.",
		Args: cli.Arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			what := "the entire database schema"
			if isOwn(cmd) {
				what = "sqllock's tables, and all locks with them"
			}
			if err := a.checkTables(cmd); err != nil {
				return err // before the question below
			}
			if !force {
				if err := a.confirm(cmd.Context(), "Are you sure you want to drop "+what+"?", "Dropping "+what,
					"Aborted dropping "+what); err != nil {
					return err
				}
			}
			return a.with(cmd, func(m *migrations.Migrator) error { return m.Drop(cmd.Context()) })
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "don't ask")
	return cmd
}
