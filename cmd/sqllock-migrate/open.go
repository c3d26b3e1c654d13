package main

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// own tells sqllock's tables from the application's.
func (a *app) own() bool { return a.source == "" && a.path == "" }

// with opens what the flags name, calls f, and closes it again.
func (a *app) with(command string, f func(m *migrations.Migrator) error) error {
	return a.withThat(command, a.migrator, f)
}

type opener func(*migrations.Options) (*migrations.Migrator, *sql.DB, error)

func (a *app) withThat(command string, migrator opener, f func(m *migrations.Migrator) error) error {
	a.result.Command = command
	if a.database == "" {
		a.database = os.Getenv("SQLLOCK_DATABASE_URL")
	}
	if a.database == "" {
		return usagef("no database: give --database URL, or set SQLLOCK_DATABASE_URL")
	}
	if command != "up" && command != "goto" { // which may begin with nothing
		file, err := open.Missing(a.database)
		if err != nil {
			return err
		}
		if file != "" {
			return &missingError{file: file, command: command}
		}
	}
	options := &migrations.Options{
		LockTimeout: max(time.Duration(a.lockTimeout), 1), // 0 is: try once
		Progress:    a.progress,
		Waiting:     a.waiting,
		Lock:        a.lock.kind,
		LockTTL:     time.Duration(a.lockTTL.lockTimeout),
		Locked:      a.locked,
		Chosen:      a.chosen,
		Logger:      a.logger(),
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

// migrator is for sqllock's tables in the *sql.DB that it opens, or for the application's.
func (a *app) migrator(options *migrations.Options) (*migrations.Migrator, *sql.DB, error) {
	if a.own() {
		database, err := open.URL(a.database)
		if err != nil {
			return nil, nil, err
		}
		m, err := migrations.New(database.DB, database.Migrations, options)
		return m, database.DB, err
	}
	folder, err := a.folder()
	if err != nil {
		return nil, nil, err
	}
	engine, err := open.Migrations(a.database)
	if err != nil {
		return nil, nil, err
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil, nil, usagef("--source %s: there is no such directory", folder)
	}
	m, err := migrations.Application(os.DirFS(folder), engine, a.database, options)
	if errors.Is(err, fs.ErrNotExist) {
		err = usagef("--source %s: %v", folder, err)
	}
	return m, nil, err
}

// folder is where --source or --path says that the files are.
func (a *app) folder() (string, error) {
	if a.source == "" {
		return a.path, nil
	}
	scheme, _, isURL := strings.Cut(a.source, "://")
	if !isURL {
		return a.source, nil
	}
	if scheme != "file" {
		return "", usagef("--source %s: only directories and file:// can be read, %s:// can't", open.Redact(a.source), scheme)
	}
	u, err := url.Parse(a.source)
	if err != nil {
		return "", usagef("--source %s: %v", a.source, err)
	}
	folder := u.Host + u.Path
	if folder == "" {
		folder = "."
	}
	return folder, nil
}

func (a *app) progress(step migrations.Step) {
	took := step.Took.Round(100 * time.Microsecond)
	a.say("%v (%v)", step, took)
	direction := "up"
	if step.Down {
		direction = "down"
	}
	a.result.Applied = append(a.result.Applied, applied{
		Version: step.Version, Name: step.Name, Direction: direction, File: step.Source(),
		Took: float64(step.Took) / float64(time.Millisecond),
	})
}

var errNoMigration = errors.New("no migration: none has been applied to this database")
