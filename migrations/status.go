package migrations

import (
	"cmp"
	"context"
	"slices"
)

// State is the state of a migration.
type State string

// The states of a migration.
const (
	StateApplied State = "applied"
	StatePending State = "pending" // the next Up applies it

	// StateLate is a migration that wasn't applied although a later one was: see [LateError].
	StateLate State = "late"

	// StateEdited is an applied migration whose file was changed afterwards: see [EditedError].
	StateEdited State = "edited"

	// StateDirty is the version at which a run failed or was cut off: see [DirtyError].
	StateDirty State = "dirty"

	// StateUnknown is a version that was applied, or that the database is at, but that has no file.
	StateUnknown State = "unknown"
)

// Status is the status of a database's migrations.
type Status struct {
	Version int  // the version that the database is at; -1 means none
	Dirty   bool // whether a run failed at that version and may have applied a part of it

	// History is the name of the history table. It is empty if there is none: before the first run
	// that changes something, and always for sqllock's own tables, whose migrations can't be late.
	History string

	Migrations []MigrationStatus // by version
}

// MigrationStatus is the status of one migration.
type MigrationStatus struct {
	File
	State State // its state

	// Record is the last record of an applied migration. It is nil if the history has none, for
	// example because golang-migrate's own command has applied the migration since the last run.
	Record *Record
}

// Count returns how many migrations are in one of the states.
func (s *Status) Count(states ...State) int {
	n := 0
	for _, m := range s.Migrations {
		if slices.Contains(states, m.State) {
			n++
		}
	}
	return n
}

// Current reports whether the database matches the files: nothing is pending, late, edited or
// dirty.
func (s *Status) Current() bool {
	return !s.Dirty && s.Count(StatePending, StateLate, StateEdited) == 0
}

// Status reads the status of the migrations. It does not wait for a process that migrates.
func (m *Migrator) Status(ctx context.Context) (*Status, error) {
	seen, err := m.target.inspect(ctx, m.options, true)
	if err != nil {
		return nil, err
	}
	state, err := m.state(seen.version, seen.dirty, seen.records)
	if err != nil {
		return nil, err
	}
	return state.status(seen.history), nil
}

// status converts s to a Status.
func (s *state) status(history string) *Status {
	status := &Status{Version: s.at, Dirty: s.dirty, History: history}
	listed := map[uint]bool{}
	for _, f := range s.files {
		m := MigrationStatus{File: f, State: StatePending}
		switch {
		case s.dirty && int(f.Version) == s.at:
			m.State = StateDirty
		case s.isEdited(f):
			m.State = StateEdited
		case s.isApplied(f):
			m.State = StateApplied
		case s.isLate(f):
			m.State = StateLate
		}
		m.Record = s.record(f.Version)
		status.Migrations = append(status.Migrations, m)
		listed[f.Version] = true
	}
	for v, r := range s.applied {
		if !listed[v] {
			m := MigrationStatus{File: File{Version: v, Name: r.Name}, State: StateUnknown, Record: s.record(v)}
			status.Migrations = append(status.Migrations, m)
			listed[v] = true
		}
	}
	if s.at >= 0 && !listed[uint(s.at)] {
		unknown := MigrationStatus{File: File{Version: uint(s.at)}, State: StateUnknown}
		status.Migrations = append(status.Migrations, unknown)
	}
	slices.SortFunc(status.Migrations, func(a, b MigrationStatus) int { return cmp.Compare(a.Version, b.Version) })
	return status
}

// record returns the history's record of an applied migration, or nil if the history has none.
func (s *state) record(version uint) *Record {
	r, is := s.applied[version]
	if !is || r.At.IsZero() {
		return nil
	}
	return &r
}
