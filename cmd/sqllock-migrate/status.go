package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/migrations"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "List the migrations, applied and pending",
		Args:  argument(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Name(), func(m *migrations.Migrator) error {
				at, dirty, err := m.Version(cmd.Context())
				if err != nil {
					return err
				}
				a.at(at, dirty)
				a.result.Migrations = states(m.Files(), at, dirty)
				if a.json {
					return nil
				}
				return a.table()
			})
		},
	}
}

// states says of each migration where it stands. Only one version is recorded, so all up to it count as applied. A
// version that has no file is listed as unknown.
func states(files []migrations.File, at int, dirty bool) []migration {
	var list []migration
	listed := at < 0
	missing := func() {
		list = append(list, migration{Version: uint(at), State: "unknown"})
		listed = true
	}
	for _, f := range files {
		if !listed && int(f.Version) > at {
			missing()
		}
		state := "pending"
		switch {
		case int(f.Version) == at && dirty:
			state = "dirty"
		case int(f.Version) <= at:
			state = "applied"
		}
		listed = listed || int(f.Version) == at
		list = append(list, migration{Version: f.Version, Name: f.Name, State: state})
	}
	if !listed {
		missing()
	}
	return list
}

func (a *app) table() error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "VERSION\tNAME\tSTATE") // an error stays with w until Flush
	for _, m := range a.result.Migrations {
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\n", m.Version, m.Name, m.State)
	}
	return w.Flush()
}
