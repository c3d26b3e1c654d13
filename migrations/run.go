package migrations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
)

// run applies what the plan asks for, one after the other, and answers what was applied.
func (m *Migrator) run(ctx context.Context, p plan) (done []Step, short int, err error) {
	err = m.target.locked(ctx, m.options, func(s session) error {
		at, dirty, err := s.driver.Version()
		if err != nil {
			return err
		}
		if dirty {
			return m.dirty(at)
		}
		var steps []Step
		if steps, short, err = p(m.files, at); err != nil {
			return err
		}
		begun := at
		for i, step := range steps {
			if s.check != nil {
				if err := s.check(ctx); err != nil {
					return &LockLostError{Version: at, Remaining: len(steps) - i, Err: err}
				}
			}
			if ctx.Err() != nil {
				return &StoppedError{Version: at, Remaining: len(steps) - i, Cause: ended(ctx)}
			}
			if err := m.apply(s, &step, at); err != nil {
				if all, ok := errors.AsType[*undoneError](err); ok {
					done = nil
					err = all.since(begun)
				}
				return err
			}
			at = step.target
			done = append(done, step)
			if m.options.Progress != nil {
				m.options.Progress(step)
			}
		}
		return nil
	})
	return done, short, err
}

const stepName = "sqllock_migration" // of the savepoint before each migration

// apply applies one migration, by golang-migrate, and undoes it if it fails and that is possible.
func (m *Migrator) apply(s session, step *Step, at int) error {
	var text []byte
	var body io.ReadCloser
	if step.Source() != "" {
		var err error
		// All of it before anything is sent: golang-migrate would run a file that breaks off while being read.
		if text, err = fs.ReadFile(m.fsys, step.Source()); err != nil {
			return err
		}
		body = io.NopCloser(bytes.NewReader(text))
	}
	migration, err := migrate.NewMigration(body, step.Name, step.Version, step.target)
	if err != nil {
		return err
	}
	runner, err := migrate.NewWithInstance("", nil, "", unlocked{s.driver})
	if err != nil {
		return err
	}
	if s.savepoint != nil {
		if err := s.savepoint.set(s.exec, stepName); err != nil {
			return err
		}
	}
	begun := time.Now()
	err = runner.Run(migration)
	step.Took = time.Since(begun)
	if pipe, ok := migration.BufferedBody.(io.Closer); ok && err != nil {
		_ = pipe.Close() // else the goroutine that fills it, if it has come to that, would stay
	}
	switch {
	case err == nil && s.savepoint != nil:
		return s.savepoint.release(s.exec, stepName)
	case err != nil:
		return m.failed(s, step, at, string(text), err)
	}
	return nil
}

// failed undoes what can be undone, and says what happened.
func (m *Migrator) failed(s session, step *Step, at int, text string, err error) error {
	var undo error
	if s.savepoint != nil {
		undo = s.savepoint.undo(s.exec, stepName)
	}
	query, refused, cause := databaseError(err)
	failure := fmt.Errorf("%s: %w", step, err)
	if found, dirty := errors.AsType[migrate.ErrDirty](err); dirty { // since we looked
		failure = m.dirty(found.Version)
	}
	if refused {
		e := &StatementError{File: step.Source(), Err: cause, Version: at}
		if s.savepoint == nil {
			e.Version, e.Dirty = step.target, true
		}
		line, column := m.target.position(cause, query)
		e.Line, e.Column, e.Excerpt = locate(text, query, line, column)
		failure = e
	}
	if undo != nil {
		return &undoneError{failure: failure, undo: undo}
	}
	return failure
}

// undoneError says that a migration couldn't be undone alone, so that the transaction which all of the run is in must not be
// committed: most likely the server has rolled it back already, as SQL Server does after some errors (a deadlock, say).
type undoneError struct{ failure, undo error }

func (e *undoneError) Error() string {
	return fmt.Sprintf("%v\n(that migration couldn't be undone alone, and so all of this run was: %v)", e.failure, e.undo)
}

func (e *undoneError) Unwrap() error { return e.failure }

// since says which version the database is at then.
func (e *undoneError) since(begun int) error {
	if statement, ok := errors.AsType[*StatementError](e.failure); ok {
		statement.Version, statement.All = begun, true
	}
	return e
}

// databaseError takes the server's own error, and what was sent, out of golang-migrate's, which doesn't unwrap.
func databaseError(err error) (query string, ok bool, cause error) {
	if pointer, ok := errors.AsType[*database.Error](err); ok {
		return string(pointer.Query), true, pointer.OrigErr
	}
	if value, ok := errors.AsType[database.Error](err); ok {
		return string(value.Query), true, value.OrigErr
	}
	return "", false, err
}

// dirty is the error for a dirty version: both the migration up to it and the one down to it may be to blame.
func (m *Migrator) dirty(at int) error {
	e := &DirtyError{Version: at}
	e.Table, _ = m.target.table()
	i, known := index(m.files, at)
	if !known {
		return e
	}
	if i >= 0 && m.files[i].Up != "" {
		e.Files = append(e.Files, m.files[i].Up)
	}
	if i+1 < len(m.files) && m.files[i+1].Down != "" {
		e.Files = append(e.Files, m.files[i+1].Down)
	}
	return e
}

// unlocked is a driver whose lock is held already, for as long as the whole run.
type unlocked struct{ database.Driver }

func (unlocked) Lock() error   { return nil }
func (unlocked) Unlock() error { return nil }
