package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
)

// behindError reports that a database doesn't match the files.
type behindError struct{ what string }

func (e *behindError) Error() string { return e.what }

func (a *app) status() *cobra.Command {
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List the migrations: applied when and by whom, pending, late, edited",
		Long: "List the migrations. sqllock-migrate keeps a history beside golang-migrate's version table, in a " +
			"table with the same name plus _history. The history says when each migration was applied, by whom and " +
			"from which file. A migration that golang-migrate's own command has applied since is \"not " +
			"recorded\".\n\n  applied  it was applied\n  pending  up will apply it\n  late     it wasn't applied " +
			"although a later one was: up refuses, up --allow-missing applies it\n  edited   its file was changed " +
			"after it was applied: up refuses; restore the file, or see repair and redo\n  dirty    a run failed " +
			"or was cut off in it\n  unknown  it was applied, but there is no file of that version\n\nWith " +
			"--exit-code the exit code is 7 if anything is pending, late or edited, and 3 if the database is " +
			"dirty.",
		Args: cli.Arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd, func(m *migrations.Migrator) error {
				status, err := m.Status(cmd.Context())
				if err != nil {
					return err
				}
				a.note(status)
				if status.Version < 0 && status.Dirty {
					a.warn("the database is dirty at no version: the migration down from the first one failed or " +
						"was cut off")
				}
				if !a.json {
					if err := a.table(status); err != nil {
						return err
					}
				}
				if exitCode {
					return gate(status, isOwn(cmd))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 7 unless all is applied")
	return cmd
}

// note stores the status for --json.
func (a *app) note(status *migrations.Status) {
	a.at(status.Version, status.Dirty)
	a.result.History = status.History
	a.result.Counts = &counts{
		Applied: status.Count(migrations.StateApplied, migrations.StateEdited, migrations.StateUnknown),
		Pending: status.Count(migrations.StatePending),
		Late:    status.Count(migrations.StateLate),
		Edited:  status.Count(migrations.StateEdited),
	}
	for _, m := range status.Migrations {
		line := migration{Version: m.Version, Name: m.Name, State: m.State}
		if m.Record != nil {
			line.How, line.By, line.Checksum, line.At = m.Record.How, m.Record.By, m.Record.Checksum, &m.Record.At
			line.Took = float64(m.Record.Took) / float64(time.Millisecond)
		}
		a.result.Migrations = append(a.result.Migrations, line)
	}
}

// gate returns an error unless the database matches the files.
func gate(status *migrations.Status, own bool) error {
	if status.Current() {
		return nil
	}
	if status.Dirty {
		return &migrations.DirtyError{Version: status.Version, Own: own}
	}
	return &behindError{"the database isn't up to date: " + summary(status)}
}

// table writes the status for people.
func (a *app) table(status *migrations.Status) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	header := "VERSION\tNAME\tSTATE"
	if status.History != "" {
		header += "\tAPPLIED\tTOOK\tBY"
	}
	_, _ = fmt.Fprintln(w, header) // w keeps an error until Flush
	for _, m := range status.Migrations {
		line := fmt.Sprintf("%d\t%s\t%s", m.Version, m.Name, m.State)
		if status.History != "" {
			line += recorded(m)
		}
		_, _ = fmt.Fprintln(w, line)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, summary(status))
	return err
}

// recorded returns the columns from a migration's record in the history.
func recorded(m migrations.MigrationStatus) string {
	switch {
	case m.Record == nil && (m.State == migrations.StateApplied || m.State == migrations.StateUnknown):
		return "\tnot recorded"
	case m.Record == nil:
		return ""
	}
	at, by := m.Record.At.UTC().Format(time.RFC3339), m.Record.By
	switch m.Record.How {
	case migrations.HowRun:
		return fmt.Sprintf("\t%s\t%v\t%s", at, m.Record.Took.Round(time.Millisecond), by)
	case migrations.HowFound:
		return fmt.Sprintf("\tbefore %s\t\tnot recorded, found by %s", at, by)
	case migrations.HowForced, migrations.HowRepaired:
	}
	return fmt.Sprintf("\t%s\t\t%s by %s", at, m.Record.How, by)
}

// summary counts the migrations, for people.
func summary(status *migrations.Status) string {
	var parts []string
	switch {
	case status.Dirty && status.Version < 0:
		parts = append(parts, "no version, and dirty")
	case status.Dirty:
		parts = append(parts, fmt.Sprintf("version %d, and dirty", status.Version))
	case status.Version < 0:
		parts = append(parts, "no version")
	default:
		parts = append(parts, fmt.Sprintf("version %d", status.Version))
	}
	parts = append(parts, fmt.Sprintf("%d pending", status.Count(migrations.StatePending)))
	for _, state := range []migrations.State{migrations.StateLate, migrations.StateEdited, migrations.StateUnknown} {
		if n := status.Count(state); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}
