package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/sqltext"
)

// session is a database whose migration lock is held.
type session struct {
	driver     database.Driver
	ledger     *ledger     // nil if no history is kept
	sharedConn *sharedConn // the connection that migrates
	stop       *stop

	refused func(err error) bool // Transaction.Refused, or Settings.Refused in its place
	apart   string               // why migrations can't share a transaction with their version; empty if they can

	// within reports whether the whole run is one transaction, with a savepoint for each migration.
	within bool

	// check returns an error if the lock can't be trusted any longer. It is nil where that can't
	// happen.
	check func(ctx context.Context) error
}

// attempt is one migration while it is being applied.
//
// If possible, its text and its version are applied in one transaction: a migration that fails, is
// canceled or is cut off leaves nothing behind. Otherwise (DDL that commits by itself, CREATE INDEX
// CONCURRENTLY), the version is recorded as dirty before the text is sent and as clean afterwards,
// as golang-migrate does.
type attempt struct {
	*Migrator
	session
	step  Step
	at    int // the version before it
	text  string
	wrap  Wrap
	begun time.Time
}

// attempt prepares step for a database that is at version at.
func (m *Migrator) attempt(s session, step Step, at int) (*attempt, error) {
	text, err := m.read(step)
	if err != nil {
		return nil, err
	}
	a := &attempt{Migrator: m, session: s, step: step, at: at, text: text, wrap: Wrap{Text: text}}
	engine := s.sharedConn.engine
	switch {
	case a.blank(), s.within:
	case s.apart != "":
		a.wrap.Apart = s.apart
	case engine.Transaction.Wrap != nil:
		a.wrap = engine.Transaction.Wrap(text)
	}
	return a, nil
}

// blank reports whether the text has no statement. Such a migration only changes the version; MySQL
// would refuse to run it.
func (a *attempt) blank() bool { return len(sqltext.Split(a.text, a.sharedConn.engine.Syntax)) == 0 }

// file returns the name that errors use for the migration.
func (a *attempt) file() string {
	if a.step.Source() == "" {
		return a.step.String()
	}
	return a.step.Source()
}

func (a *attempt) apply() error {
	a.begun = time.Now()
	if a.wrap.Apart != "" {
		return a.applyApart()
	}
	err := a.applyTogether()
	if err == nil || a.within || a.refused == nil || !a.refused(err) {
		return err
	}
	why := fmt.Sprintf("it has a statement that can't run in a transaction: %v", rootOf(err))
	a.wrap = Wrap{Text: a.text, Apart: why}
	return a.applyApart()
}

// unchanged returns an error if the database is no longer at the version that it was at when the
// run was planned. This happens on a Galera cluster, for example, where the lock belongs to one
// node.
func (a *attempt) unchanged() error {
	now, dirty, err := a.driver.Version()
	switch {
	case err != nil:
		return err
	case dirty:
		return a.dirty(now)
	case now != a.at:
		return fmt.Errorf("%s wasn't begun: another process has meanwhile migrated the database from version %d to %d",
			a.step, a.at, now)
	}
	return nil
}

// applyTogether applies the text and the version in one transaction.
func (a *attempt) applyTogether() error {
	if err := a.begin(); err != nil {
		return a.failed(err, nil)
	}
	if err := a.unchanged(); err != nil {
		if undo := a.rollback(); undo != nil && a.within {
			return &undoneError{failure: err, undo: undo}
		}
		return err
	}
	err := a.run()
	if over := a.sharedConn.engine.Transaction.Ended; over != nil && !a.within && over(a.sharedConn.Conn) {
		return a.ended(err)
	}
	if err == nil {
		err = a.finish()
	}
	if err != nil {
		return a.failed(err, a.rollback())
	}
	if err = a.commit(); err == nil {
		return nil
	}
	if undo := a.rollback(); undo != nil && !a.within {
		return &UnconfirmedError{File: a.file(), Own: a.target.own(), Before: a.at, After: a.step.target, Err: err}
	}
	return a.failed(err, nil)
}

// applyApart applies the text outside a transaction.
func (a *attempt) applyApart() error {
	if err := a.unchanged(); err != nil {
		return err
	}
	if err := a.driver.SetVersion(a.step.target, true); err != nil {
		return a.unrecorded(err)
	}
	if err := a.run(); err != nil {
		return a.failed(err, nil)
	}
	a.sharedConn.until = a.stop.tidy // the file is applied, and that must be recorded
	defer func() { a.sharedConn.until = a.stop.work }()
	err := a.begin()
	if err == nil {
		if err = a.finish(); err == nil {
			err = a.commit()
		}
	}
	if err != nil {
		_ = a.rollback() // the connection is discarded anyway
		return a.unrecorded(err)
	}
	return nil
}

// run sends the text.
func (a *attempt) run() error {
	if a.blank() {
		return nil
	}
	return a.driver.Run(strings.NewReader(a.wrap.Text))
}

// finish records what was applied, in the transaction that the connection is in.
func (a *attempt) finish() error {
	a.step.Took = time.Since(a.begun)
	if err := a.driver.SetVersion(a.step.target, false); err != nil {
		return err
	}
	return a.record()
}

const stepName = "sqllock_migration" // the savepoint before each migration

// begin begins the transaction. If another connection is writing, which only SQLite reports, begin
// tries again until the lock timeout has passed.
func (a *attempt) begin() error {
	if a.within {
		return a.sharedConn.savepoint().set(a.send(a.sharedConn.until), stepName)
	}
	transaction := a.sharedConn.engine.Transaction
	statement := transaction.Begin
	if a.wrap.Begin != "" {
		statement = a.wrap.Begin
	}
	ctx, cancel := context.WithTimeout(a.sharedConn.until, a.options.LockTimeout)
	defer cancel()
	for {
		err := a.sharedConn.exec(a.sharedConn.until, statement)
		if err == nil {
			a.sharedConn.within = true
			return nil
		}
		if transaction.Busy == nil || !transaction.Busy(err) || ctx.Err() != nil {
			return err
		}
		wait(ctx)
	}
}

// commit commits the transaction. It is not cut short when the run must end, since it takes only a
// moment.
func (a *attempt) commit() error {
	if a.within {
		return a.sharedConn.savepoint().release(a.send(a.stop.tidy), stepName)
	}
	a.sharedConn.within = false
	return a.sharedConn.exec(a.stop.tidy, a.sharedConn.engine.Transaction.Commit)
}

func (a *attempt) rollback() error {
	if a.within {
		return a.sharedConn.savepoint().undo(a.send(a.stop.tidy), stepName)
	}
	a.sharedConn.within = false
	transaction := a.sharedConn.engine.Transaction
	err := a.sharedConn.exec(a.stop.tidy, transaction.Rollback)
	if err != nil && transaction.Over != nil && transaction.Over(err) {
		return nil
	}
	return err
}

func (a *attempt) send(ctx context.Context) func(string) error {
	return func(query string) error { return a.sharedConn.exec(ctx, query) }
}

// failed returns the error for a migration that failed with err. undo is the reason why the
// migration couldn't be undone alone; it is nil if it was undone or didn't have to be.
func (a *attempt) failed(err, undo error) error {
	query, refused, cause := databaseError(err)
	dirty := a.wrap.Apart != ""
	version := a.at
	if dirty {
		version = a.step.target
	}
	failure := fmt.Errorf("%s: %w", a.step, err)
	if refused {
		e := &StatementError{
			File: a.step.Source(), Err: cause, Version: version, Own: a.target.own(),
			Dirty: dirty, Reason: a.wrap.Apart,
		}
		line, column := a.target.position(cause, query)
		e.Line, e.Column, e.Excerpt = locate(a.text, a.wrap.Text, query, line, column)
		e.Hint = a.target.hint(a.session, cause, a.text)
		failure = e
	}
	if a.stop.work.Err() != nil {
		failure = &StoppedError{
			Version: version, Own: a.target.own(), Cause: ended(a.stop.asked), File: a.file(),
			Dirty: dirty, Reason: a.wrap.Apart, Unconfirmed: undo != nil, Err: cause,
		}
	}
	if undo != nil && a.within {
		return &undoneError{failure: failure, undo: undo}
	}
	return failure
}

// ended returns the error for a text that ended the transaction in which it was applied, so that it
// can't be undone. err is the error of the text; it may be nil.
func (a *attempt) ended(err error) error {
	a.sharedConn.within = false
	a.wrap.Apart = "it ended the transaction that it was applied in"
	a.sharedConn.until = a.stop.tidy
	defer func() { a.sharedConn.until = a.stop.work }()
	if unrecorded := a.driver.SetVersion(a.step.target, true); unrecorded != nil {
		return errors.Join(err, a.unrecorded(unrecorded))
	}
	if err == nil {
		err = errors.New("the file ended the transaction that it was applied in")
	}
	return a.failed(err, nil)
}

// unrecorded returns the error for a version that couldn't be recorded.
func (a *attempt) unrecorded(err error) error {
	query, _, cause := databaseError(err)
	if query != "" {
		query = " (" + query + ")"
	}
	return fmt.Errorf("%s: the version can't be recorded: %w%s", a.step, cause, query)
}

// rootOf returns the database's own error.
func rootOf(err error) error {
	if statement, ok := errors.AsType[*StatementError](err); ok {
		return statement.Err
	}
	return Cause(err)
}

// dropTogether drops tables, in one transaction where DDL can be rolled back. Programs that still
// use the tables may lock them in another order. The server may then abort the drop as a deadlock
// victim, so dropTogether tries again until the lock timeout has passed.
func (m *Migrator) dropTogether(s session, drop func() error) error {
	engine := s.sharedConn.engine
	ctx, cancel := context.WithTimeout(s.stop.work, m.options.LockTimeout)
	defer cancel()
	if engine.Drop.Before != "" && !s.within {
		if err := s.sharedConn.exec(s.stop.work, engine.Drop.Before); err != nil {
			return err
		}
	}
	for {
		err := m.dropOnce(s, drop)
		if err == nil {
			break
		}
		if ctx.Err() != nil || engine.Dialect(nil).Classify(Cause(err)) != dialect.ClassTransient {
			return err
		}
		wait(ctx)
	}
	if engine.Drop.After != "" && !s.within {
		_ = s.sharedConn.exec(s.stop.work, engine.Drop.After) // all tables are dropped, whether or not this succeeds
	}
	return nil
}

func (m *Migrator) dropOnce(s session, drop func() error) error {
	if !s.sharedConn.engine.Transactional {
		return drop()
	}
	a := &attempt{Migrator: m, session: s}
	err := a.begin()
	if err == nil {
		err = drop()
	}
	if err == nil {
		err = a.commit()
	}
	if err != nil {
		return errors.Join(err, a.rollback())
	}
	return nil
}
