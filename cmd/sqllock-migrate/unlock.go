package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing/fstest"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// holder is a holder of the migration lock.
type holder struct {
	Kind      lock.Kind  `json:"kind"` // session or lease
	Holder    string     `json:"holder,omitempty"`
	Since     *time.Time `json:"since,omitempty"` // when it took a lease, or when a session connected
	Fence     int64      `json:"fence,omitempty"`
	Remaining float64    `json:"remaining_ms,omitempty"` // time until a lease expires, unless its holder renews it
	Dead      bool       `json:"dead,omitempty"`         // whether it has expired
	Hidden    bool       `json:"hidden,omitempty"`       // whether the database doesn't show the holder to this account
}

// unseen is a kind of lock whose holders can't be determined.
type unseen struct {
	Kind lock.Kind `json:"kind"`
	Why  string    `json:"why"`
}

// aliveError reports a lock that is held and that unlock can't, or mustn't, take away.
type aliveError struct{ what string }

func (e *aliveError) Error() string { return e.what }

func (a *app) unlock() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Show who holds the lock of your migrations, and break a lease",
		Long: "Show who holds the lock under which the application's migrations are applied (those of --source; " +
			"the files aren't needed). If it is a lease, unlock asks and then breaks it: its holder is stopped " +
			"before its next migration, and the next process gets the lock at once. A dead holder's lease expires " +
			"by itself. A session lock is free as soon as its holder's connection ends; unlock says how to end " +
			"it.\n\nunlock tries to take the session lock to find out whether it is held. So it also finds a " +
			"holder that the database doesn't show to this account: unlock calls it \"somebody\" (hidden with " +
			"--json). If trying isn't possible (behind a pooler in transaction mode, on a replica), unlock says so " +
			"(unseen with --json), and reports leases only. unlock doesn't show the lock of the command migrate, " +
			"which --lock=none takes.\n\nExit code 0: nobody holds the lock any more, as far as can be seen " +
			"from here. 1: the answer was no, or the lock has changed hands. 5: a session holds it, hidden or " +
			"not.",
		Args: cli.Arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withThat(cmd, a.anyMigrator, func(m *migrations.Migrator) error {
				holders, err := m.Holders(cmd.Context())
				if err != nil {
					return err
				}
				for _, h := range a.holders(holders) {
					if err := a.breakLock(cmd.Context(), m, h, force); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "don't ask")
	return cmd
}

// anyMigrator returns a migrator that is used only for its lock, and so needs no files.
func (a *app) anyMigrator(options *migrations.Options) (*migrations.Migrator, *sql.DB, error) {
	engine, err := open.Migrations(a.database)
	if err != nil {
		return nil, nil, err
	}
	none := fstest.MapFS{"1_none.up.sql": {}}
	m, err := migrations.Application(none, engine, a.database, options)
	return m, nil, err
}

// holders stores and shows the holders of the lock, and the kinds of lock that can't be seen. It
// returns the holders.
func (a *app) holders(looked []lock.Holder) (held []lock.Holder) {
	list := []holder{}
	for _, h := range looked {
		if h.Unseen != nil {
			a.result.Unseen = append(a.result.Unseen, unseen{Kind: h.Kind, Why: h.Unseen.Error()})
			continue
		}
		one := holder{
			Kind: h.Kind, Holder: h.Holder, Fence: h.Fence, Dead: h.Dead, Hidden: h.Holder == "",
			Remaining: float64(h.Remaining) / float64(time.Millisecond),
		}
		if !h.Since.IsZero() {
			one.Since = &h.Since
		}
		held, list = append(held, h), append(list, one)
		a.say("%s", one)
	}
	if len(held) == 0 {
		a.say("nobody holds the migration lock%s", a.lookedAt())
	}
	for _, u := range a.result.Unseen {
		a.say("whether a %s holds it can't be found out from here: %s", u.Kind, u.Why)
	}
	a.result.Holders = &list
	return held
}

// lookedAt qualifies the message "nobody holds the lock" if only some kinds of lock were read.
func (a *app) lookedAt() string {
	for _, kind := range []lock.Kind{lock.Lease, lock.Session} {
		if a.lock.kind == kind {
			return fmt.Sprintf(" as a %s, and --lock=%[1]s reads no other kind", kind)
		}
	}
	for _, u := range a.result.Unseen {
		if u.Kind == lock.Session {
			return " as a lease"
		}
	}
	return ""
}

func (h holder) String() string {
	name := h.Holder
	switch {
	case h.Hidden && h.Kind == lock.Session:
		name = "somebody, in a session that this account can't see"
	case h.Hidden:
		name = "a process without a name"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the migration lock, a %s, is held by %s", h.Kind, name)
	if h.Since != nil {
		what := "since"
		if h.Kind == lock.Session {
			what = "connected since"
		}
		fmt.Fprintf(&b, ", %s %s", what, h.Since.UTC().Format(time.RFC3339))
	}
	remaining := time.Duration(h.Remaining * float64(time.Millisecond)).Round(100 * time.Millisecond)
	switch {
	case h.Dead:
		b.WriteString("; its lease has run out, so it is dead, and the next process gets the lock")
	case h.Kind == lock.Lease:
		fmt.Fprintf(&b, "; it was alive less than the lease's TTL ago, and if it is dead the lock is free in %v",
			remaining)
	}
	return b.String()
}

func (a *app) breakLock(ctx context.Context, m *migrations.Migrator, h lock.Holder, force bool) error {
	if h.Kind == lock.Session {
		engine, err := open.Migrations(a.database)
		if err != nil {
			return err
		}
		return &aliveError{howToEnd(h, engine)}
	}
	if !force {
		if err := a.confirm(ctx, "Are you sure you want to break this lock? A migration that is under way isn't "+
			"stopped.",
			"Breaking the lock", "Not breaking the lock"); err != nil {
			return err
		}
	}
	if err := m.Break(ctx, h, sqllock.BrokenBy(cli.Operator())); err != nil {
		return err
	}
	a.result.Broken = true
	a.say("the migration lock is free")
	return nil
}

// howToEnd says how to end a session that holds the lock.
func howToEnd(h lock.Holder, engine *migrations.Engine) string {
	text := "a session lock can't be broken: it is free as soon as its holder's connection ends. End that " +
		"process; or, if it can't be reached, its connection, on the server: " + engine.EndSession
	if h.Holder != "" {
		return text
	}
	needs := "one that may see the sessions of others"
	if engine.SeeSession != "" {
		needs = "one that has " + engine.SeeSession
	}
	return text + ". This account can't see that number: run unlock with " + needs
}
