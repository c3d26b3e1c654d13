package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/golang-migrate/migrate/v4/database"
)

// run applies the steps of the plan, one after the other, and returns those that were applied.
func (m *Migrator) run(ctx context.Context, p plan) (done []Step, short int, err error) {
	r := &running{Migrator: m, plan: p}
	err = m.locked(ctx, r.all, func() error { return r.abandoned(ctx) })
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done, r.short, err
}

// running is a run in progress.
type running struct {
	*Migrator
	plan plan

	mu    sync.Mutex // guards what follows
	at    int        // the version that the database is at
	left  int        // how many migrations are still to apply, including the current one
	now   *attempt   // the current migration; may be nil
	done  []Step
	short int
	gone  bool // whether the caller has stopped waiting for this run
}

// all does the run. The caller holds the lock.
func (r *running) all(s session) error {
	state, err := r.readState(s)
	if err != nil {
		return err
	}
	if state.dirty {
		return r.dirty(state.at, state.late()...)
	}
	steps, short, err := r.plan(state)
	if err != nil {
		return err
	}
	if err := r.takes(s, steps); err != nil {
		return err
	}
	if len(steps) > 0 {
		if err := s.ledger.write(s.stop.work, state.others...); err != nil {
			return err
		}
	}
	r.update(func() { r.at, r.left, r.short = state.at, len(steps), short })
	for _, step := range steps {
		err := r.one(s, step)
		if all, ok := errors.AsType[*undoneError](err); ok {
			r.update(func() { r.done = nil })
			return all.since(state.at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// one applies one migration, unless the run must end before that.
func (r *running) one(s session, step Step) error {
	if s.check != nil {
		if err := s.check(s.stop.asked); err != nil {
			return &LockLostError{Version: r.at, Remaining: r.left, Err: err}
		}
	}
	if s.stop.asked.Err() != nil {
		return &StoppedError{Version: r.at, Remaining: r.left, Own: r.target.own(), Cause: ended(s.stop.asked)}
	}
	a, err := r.attempt(s, step, r.at)
	if err != nil {
		return err
	}
	r.update(func() { r.now = a })
	if r.options.Applying != nil {
		r.options.Applying(step)
	}
	stopWatching := r.watch(a)
	err = a.apply()
	stopWatching()
	if stopped, ok := errors.AsType[*StoppedError](err); ok {
		stopped.Remaining = r.left
	}
	if err != nil {
		return err
	}
	r.update(func() {
		r.now, r.at, r.left = nil, a.step.target, r.left-1
		if !r.gone {
			r.done = append(r.done, a.step)
		}
	})
	if r.options.Progress != nil && s.stop.gone.Err() == nil {
		r.options.Progress(a.step)
	}
	return nil
}

func (r *running) update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// abandoned returns the error for a run that didn't end in time.
func (r *running) abandoned(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	stopped := &StoppedError{
		Version: r.at, Remaining: r.left, Own: r.target.own(), Cause: ended(ctx), Unconfirmed: true,
	}
	if r.now != nil {
		stopped.File, stopped.Reason = r.now.file(), r.now.wrap.Apart
		if stopped.Reason != "" {
			stopped.Version, stopped.Dirty = r.now.step.target, true
		}
	}
	return stopped
}

// checkVersion returns an error if at is not a version. golang-migrate records such a number for a
// version that the version table has no room for.
func (m *Migrator) checkVersion(at int) error {
	if at >= -1 {
		return nil
	}
	return fmt.Errorf("the version table says %d, which is no version: golang-migrate records that for one "+
		"greater than %d. Record the version that the tables are at with %s (-1 is an empty database)",
		at, MaxVersion, command(m.target.own(), "force"))
}

// undoneError reports that a migration couldn't be undone alone, so that the transaction of the
// whole run must not be committed. Most likely the server has already rolled it back, as SQL Server
// does after some errors, such as a deadlock.
type undoneError struct{ failure, undo error }

func (e *undoneError) Error() string {
	return fmt.Sprintf("%v\n(that migration couldn't be undone alone, and so all of this run "+
		"was: %v)", e.failure, e.undo)
}

func (e *undoneError) Unwrap() error { return e.failure }

// since sets the version that the database is at after the whole run was undone.
func (e *undoneError) since(begun int) error {
	if statement, ok := errors.AsType[*StatementError](e.failure); ok {
		statement.Version, statement.All = begun, true
	}
	if stopped, ok := errors.AsType[*StoppedError](e.failure); ok {
		stopped.Version = begun
	}
	return e
}

// databaseError returns the server's own error, and the statement that was sent, from an error of
// golang-migrate's, which has no Unwrap method.
func databaseError(err error) (query string, ok bool, cause error) {
	if pointer, ok := errors.AsType[*database.Error](err); ok {
		return string(pointer.Query), true, pointer.OrigErr
	}
	if value, ok := errors.AsType[database.Error](err); ok {
		return string(value.Query), true, value.OrigErr
	}
	return "", false, err
}

// Cause returns the server's own error from an error of golang-migrate's, which has no Unwrap
// method. It returns any other error unchanged. It is for the functions of an [Engine].
func Cause(err error) error {
	_, _, cause := databaseError(err)
	return cause
}

// dirty returns the error for a dirty version. It names the migration that leads up to the version,
// the one that leads down to it, and late ones, since any of them may have failed.
func (m *Migrator) dirty(at int, late ...File) error {
	e := &DirtyError{Version: at, Own: m.target.own()}
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
	for _, f := range late {
		e.Files = append(e.Files, f.source(false))
	}
	return e
}

// read returns the whole text of a migration before any of it is sent. golang-migrate would run the
// part of a file that it has read when reading fails. A step without a file has no text.
func (m *Migrator) read(step Step) (string, error) {
	if step.Source() == "" {
		return "", nil
	}
	text, err := fs.ReadFile(m.fsys, step.Source())
	return string(text), err
}
