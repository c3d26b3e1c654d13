package migrations

import "fmt"

// Savepoint is how an engine writes savepoints. In each statement %s stands for the name. The zero
// value means the statements of the SQL standard.
type Savepoint struct {
	Set     string // sets the savepoint
	Undo    string // undoes what was done since then, and keeps the savepoint
	Release string // releases the savepoint; empty if the engine has no such statement and needs none
}

var standard = Savepoint{Set: "SAVEPOINT %s", Undo: "ROLLBACK TO SAVEPOINT %s", Release: "RELEASE SAVEPOINT %s"}

// savepoint returns the engine's statements.
func (e *Engine) savepoint() *Savepoint {
	if e.Savepoint == (Savepoint{}) {
		return &standard
	}
	return &e.Savepoint
}

// set sets the savepoint.
func (s *Savepoint) set(exec func(query string) error, name string) error {
	return exec(fmt.Sprintf(s.Set, name))
}

// undo undoes what was done since set, and keeps the savepoint.
func (s *Savepoint) undo(exec func(query string) error, name string) error {
	return exec(fmt.Sprintf(s.Undo, name))
}

// release releases the savepoint, and keeps what was done.
func (s *Savepoint) release(exec func(query string) error, name string) error {
	if s.Release == "" {
		return nil
	}
	return exec(fmt.Sprintf(s.Release, name))
}
