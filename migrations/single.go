package migrations

import (
	"context"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/sqltext"
)

// Single describes an engine whose *sql.DB may accept only one statement at a time.
type Single struct {
	// Probe is a text of two statements that do nothing. It is empty if every *sql.DB accepts
	// several statements.
	Probe string

	// Refused reports whether the server, when asked to prepare a text as one statement, refused it
	// because it is not one.
	Refused func(err error) bool

	// Advice says how to configure an *sql.DB that accepts several statements.
	Advice string
}

// takes returns an error if a migration has several statements and the connection accepts one at a
// time. Such a file would fail after the ones before it were applied, and leave its version dirty.
// The server decides what is one statement, since the body of a trigger has semicolons as well.
func (m *Migrator) takes(s session, steps []Step) error {
	single := s.sharedConn.engine.Single
	probed := false
	for _, step := range steps {
		text, err := m.read(step)
		if err != nil {
			return err
		}
		if single.Probe == "" || len(sqltext.Split(text, s.sharedConn.engine.Syntax)) < 2 {
			continue
		}
		if !probed && s.sharedConn.exec(s.stop.work, single.Probe) == nil {
			return nil
		}
		probed = true
		if err := s.sharedConn.prepares(s.stop.work, text); err != nil && single.Refused(err) {
			return fmt.Errorf("%w: %s: the server doesn't take it as one statement, and this *sql.DB doesn't send "+
				"more than one at a time. If it has several, %s (%w)",
				dialect.ErrInvalid, step.Source(), single.Advice, err)
		}
	}
	return nil
}

// prepares lets the server parse a text, and executes nothing.
func (l *sharedConn) prepares(ctx context.Context, text string) error {
	db := l.pool()
	defer func() {
		_ = db.Close()
		l.lost = false // the pool is closed, not the connection
	}()
	stmt, err := db.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }() // only the error of Prepare counts
	return nil
}
