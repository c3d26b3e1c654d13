package migrations

import "fmt"

// Savepoint is how an engine writes savepoints, each with %s for the name. The zero value is what the SQL standard
// says.
type Savepoint struct {
	Set     string // begins what can be undone
	Undo    string // takes it back, and keeps the savepoint
	Release string // forgets the savepoint; empty: there is no such statement, and no need of it
}

var standard = Savepoint{Set: "SAVEPOINT %s", Undo: "ROLLBACK TO SAVEPOINT %s", Release: "RELEASE SAVEPOINT %s"}

// savepoint is nil where nothing can be undone.
func (e *Engine) savepoint() *Savepoint {
	switch {
	case !e.Transactional:
		return nil
	case e.Savepoint == Savepoint{}:
		return &standard
	}
	return &e.Savepoint
}

// set begins what can be undone.
func (s *Savepoint) set(exec func(query string) error, name string) error {
	return exec(fmt.Sprintf(s.Set, name))
}

// undo takes back what was done since set, and keeps the savepoint.
func (s *Savepoint) undo(exec func(query string) error, name string) error {
	return exec(fmt.Sprintf(s.Undo, name))
}

// release forgets the savepoint, and keeps what was done.
func (s *Savepoint) release(exec func(query string) error, name string) error {
	if s.Release == "" {
		return nil
	}
	return exec(fmt.Sprintf(s.Release, name))
}
