package main

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// with opens the database that the command and its flags name, calls f, and closes it again.
func (a *app) with(cmd *cobra.Command, f func(m *migrations.Migrator) error) error {
	open := a.application
	if isOwn(cmd) {
		open = a.ownTables
	}
	a.result.Command = cli.CommandName(cmd)
	if err := a.checkTables(cmd); err != nil {
		return err
	}
	return a.withThat(cmd, open, f)
}

type opener func(*migrations.Options) (*migrations.Migrator, *sql.DB, error)

func (a *app) withThat(cmd *cobra.Command, migrator opener, f func(m *migrations.Migrator) error) error {
	a.result.Command = cli.CommandName(cmd)
	if a.database == "" {
		var err error
		if a.database, err = a.named.URL(); err != nil {
			return err
		}
	}
	if name := cmd.Name(); name != "up" && name != "goto" { // these may create the file
		file, err := open.Missing(a.database)
		if err != nil {
			return err
		}
		if file != "" {
			return &missingError{file: file, command: name, own: isOwn(cmd)}
		}
	}
	options := &migrations.Options{
		LockTimeout:  time.Duration(a.lockTimeout),
		NoWait:       a.lockTimeout == 0,
		StopTimeout:  max(time.Duration(a.stopTimeout), 1), // 0 means: cancel at once
		Applying:     a.applying,
		Running:      a.running,
		Progress:     a.progress,
		Waiting:      a.waiting,
		Lock:         a.lock.kind,
		LockTTL:      time.Duration(a.lockTTL.lockTimeout),
		Locked:       a.locked,
		Chosen:       a.chosen,
		Logger:       a.logger(),
		AllowMissing: a.allowMissing,
	}
	begun := time.Now()
	m, db, err := migrator(options)
	if err != nil {
		return err
	}
	err = f(m)
	if errors.Is(err, sqllock.ErrUnsupported) && a.lock.kind == lock.Session {
		err = fmt.Errorf("--lock=session: %w (without --lock, a lease is taken here)", err)
	}
	if db != nil {
		err = errors.Join(err, db.Close())
	}
	if err == nil && a.verbose {
		a.say("finished after %v", time.Since(begun).Round(time.Millisecond))
	}
	return err
}

// ownTables returns a migrator for sqllock's tables, in the *sql.DB that it opens.
func (a *app) ownTables(options *migrations.Options) (*migrations.Migrator, *sql.DB, error) {
	database, err := open.URL(a.database)
	if err != nil {
		return nil, nil, err
	}
	m, err := migrations.New(database.DB, database.Migrations, options)
	return m, database.DB, err
}

// application returns a migrator for the application's tables.
func (a *app) application(options *migrations.Options) (*migrations.Migrator, *sql.DB, error) {
	engine, err := open.Migrations(a.database)
	if err != nil {
		return nil, nil, err
	}
	folder, err := a.existingFolder()
	if err != nil {
		return nil, nil, err
	}
	m, err := migrations.Application(os.DirFS(folder), engine, a.database, options)
	if errors.Is(err, fs.ErrNotExist) {
		err = cli.Usagef("--source %s: %v", folder, err)
	}
	return m, nil, err
}

// existingFolder returns the directory of --source or --path. It returns an error if there is none.
func (a *app) existingFolder() (string, error) {
	folder, err := a.folder()
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return "", cli.Usagef("--source %s: there is no such directory", folder)
	}
	return folder, nil
}

// folder returns the directory of --source or --path.
func (a *app) folder() (string, error) {
	if a.source == "" {
		return a.path, nil
	}
	scheme, rest, isURL := strings.Cut(a.source, ":")
	switch {
	case !isURL:
		return a.source, nil
	case strings.EqualFold(scheme, "file"):
		return fileURL(a.source)
	case strings.HasPrefix(rest, "//"):
		return "", cli.Usagef("--source %s: only directories and file:// are supported, not %s://",
			open.Redact(a.source), scheme)
	}
	return a.source, nil
}

// fileURL returns the directory of file:///abs, file://rel, file:/abs or file:rel, as
// golang-migrate reads it.
func fileURL(source string) (string, error) {
	u, err := url.Parse(source)
	if err != nil {
		return "", cli.Usagef("--source %s: %v", source, err)
	}
	return cmp.Or(u.Opaque, u.Host+u.Path, "."), nil
}

func (a *app) applying(step migrations.Step) {
	if step.Down {
		a.say("taking back %d_%s …", step.Version, step.Name)
		return
	}
	a.say("applying %d_%s …", step.Version, step.Name)
}

// running reports how long a migration has taken so far.
func (a *app) running(step migrations.Step, since time.Duration, waitsFor string) {
	if waitsFor != "" {
		waitsFor = "; it waits for " + waitsFor
	}
	a.say("%d_%s has been under way for %v%s", step.Version, step.Name, since.Round(time.Second), waitsFor)
}

func (a *app) progress(step migrations.Step) {
	took := step.Took.Round(100 * time.Microsecond)
	a.say("%v (%v)", step, took)
	direction := "up"
	if step.Down {
		direction = "down"
	}
	a.result.Applied = append(a.result.Applied, applied{
		Version: step.Version, Name: step.Name, Direction: direction, File: step.Source(), Late: step.Late,
		Took: float64(step.Took) / float64(time.Millisecond),
	})
}

var errNoMigration = errors.New("no migration: none has been applied to this database")
