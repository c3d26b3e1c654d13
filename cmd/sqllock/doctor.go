package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
)

const doctorLong = `Try out whether locks can be trusted in this database, and report what may surprise: the tables
and their version, the rights of this account, lease locks and session locks, the server's settings and clock, a
pooler, a replica, a cluster. Each finding says what to do about it. doctor takes and releases a lock of its own.

Leases are judged by the clock of the server that answers. If the URL of the database names several servers, and for
each --member, doctor compares the servers' clocks with half the time of a round trip as the bound of the error, and
says whether --clock-skew covers the difference: give it what the application has as Options.ClockSkew.

Exit code 0: locks work. 1: something is bad; with --strict also if something may surprise. So doctor can gate a
deploy.`

// findingInfo is a finding of doctor.
type findingInfo struct {
	What    string          `json:"what"`
	Found   string          `json:"found"`
	Verdict dialect.Verdict `json:"verdict"`
	Advice  string          `json:"advice,omitempty"`
}

func (a *app) doctor() *cobra.Command {
	var strict bool
	var named []string
	limit := cli.Duration(30 * time.Second)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Report what works in this database, and how to mend what doesn't",
		Long:  doctorLong,
		Example: "  sqllock doctor\n  sqllock doctor --strict --json    # in a pipeline\n  sqllock doctor --member " +
			"db2:5432 --member db3:5432",
		Args: cli.Arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := a.untilSignal()
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, time.Duration(limit))
			defer cancel()
			db, err := a.connect(ctx, sqllock.Options{Unprobed: true, ReapEvery: -1})
			if err != nil {
				return signalOr(ctx, err)
			}
			defer func() { _ = db.close(context.WithoutCancel(ctx)) }()
			others, err := a.members(named)
			if err != nil {
				return err
			}
			defer func() { _ = others.close() }()
			findings, err := examine(ctx, db, others.of)
			if err != nil {
				return signalOr(ctx, err)
			}
			a.document.Findings = findings
			a.showFindings(findings)
			return judge(findings, strict)
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 also if something may surprise")
	cmd.Flags().StringArrayVar(&named, "member", nil, "another server of the cluster, to compare its clock: "+
		"`HOST:PORT`, where the account and the parameters of --database are used, or a URL; "+
		"may be given several times")
	a.clockSkewFlag(cmd.Flags())
	cmd.Flags().Var(&limit, "limit", "how long the examination may take")
	return cmd
}

// examine returns what there is to know about a database. It returns an error if it can't be
// reached.
func examine(ctx context.Context, db *connection, members []sqllock.Member) ([]findingInfo, error) {
	if err := db.DB.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("the database can't be reached: %w", err)
	}
	findings := []findingInfo{tables(ctx, db)}
	checked, err := db.locks.Check(ctx, members...)
	for _, f := range checked {
		findings = append(findings, findingInfo(f))
	}
	return findings, err
}

// tables tries sqllock's tables, and the account's rights on them.
func tables(ctx context.Context, db *connection) findingInfo {
	f := findingInfo{What: "tables", Verdict: dialect.VerdictGood}
	server, err := db.Dialect.Probe(ctx)
	want := db.Dialect.SchemaVersion()
	schema := &sqllock.SchemaError{
		Have: server.Schema, Want: want, CompatibleFrom: server.CompatibleFrom, Dirty: server.Dirty,
		Several: server.Several,
	}
	switch {
	case err != nil && db.Dialect.Classify(err) == dialect.ClassNoSchema:
		schema.Err = err
	case err != nil:
		f.Found, f.Verdict = err.Error(), dialect.VerdictBad
		f.Advice = "see that this account has the rights of the role application: `sqllock grants` prints them"
		return f
	case !server.Versioned:
		f.Found = "they have all that this version uses; they were made by another tool than sqllock-migrate, which " +
			"would record their version"
		return f
	case server.Dirty || server.Several || !server.Serves(want):
	default:
		f.Found = fmt.Sprintf("version %d, and this command is made for %d", server.Schema, want)
		return f
	}
	f.Found, f.Verdict, f.Advice = bare(schema), dialect.VerdictBad, "see `sqllock-migrate own status`"
	return f
}

// showFindings prints the findings for people.
func (a *app) showFindings(findings []findingInfo) {
	marks := map[dialect.Verdict]string{
		dialect.VerdictGood: "ok  ", dialect.VerdictNotice: "note", dialect.VerdictBad: "BAD ",
	}
	for _, f := range findings {
		mark := marks[f.Verdict]
		if f.Verdict == dialect.VerdictBad && colours(a.stdout) {
			mark = red + mark + reset
		}
		a.print("%s  %s: %s", mark, f.What, strings.TrimPrefix(f.Found, "sqllock: "))
		if f.Advice != "" {
			a.print("      %s", f.Advice)
		}
	}
}

// judge returns an error if the findings are not good enough.
func judge(findings []findingInfo, strict bool) error {
	var bad, notices int
	for _, f := range findings {
		switch f.Verdict {
		case dialect.VerdictBad:
			bad++
		case dialect.VerdictNotice:
			notices++
		case dialect.VerdictGood:
		}
	}
	switch {
	case bad > 0:
		return &noError{fmt.Sprintf("%d of %d findings are bad", bad, len(findings))}
	case strict && notices > 0:
		return &noError{fmt.Sprintf("%d of %d findings may surprise", notices, len(findings))}
	}
	return nil
}
