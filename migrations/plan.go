package migrations

import (
	"errors"
	"fmt"
	"slices"
)

// All stands for all migrations.
const All = -1

// A plan returns the migrations to apply to a database in a given state. It may return fewer than
// it was asked for, and then returns how many are short, or an error.
type plan func(s *state) (steps []Step, short int, err error)

// newStep returns a step with the name of the file that it applies, since the up and the down file
// may have different names.
func newStep(f File, down bool, target int) Step {
	if name := f.source(down); name != "" {
		if _, identifier, _, ok, err := ParseName(name); ok && err == nil {
			f.Name = identifier
		}
	}
	return Step{File: f, Down: down, target: target}
}

func up(n int, allowMissing bool) plan {
	return func(s *state) ([]Step, int, error) {
		if err := s.known(s.at, false); err != nil {
			return nil, 0, err
		}
		steps, err := s.ups(MaxVersion, s.at, allowMissing)
		if err != nil {
			return nil, 0, err
		}
		return limited(steps, n)
	}
}

func down(n int) plan {
	return func(s *state) ([]Step, int, error) {
		if err := s.known(s.at, false); err != nil {
			return nil, 0, err
		}
		steps, err := s.downs(-1)
		if err != nil {
			return nil, 0, err
		}
		return limited(steps, n)
	}
}

// redo undoes the last n migrations and applies them again.
func redo(n int) plan {
	return func(s *state) ([]Step, int, error) {
		steps, short, err := down(n)(s)
		if err != nil {
			return nil, 0, err
		}
		for _, step := range steps {
			if step.File.Down == "" && step.Up != "" {
				return nil, 0, fmt.Errorf("%s can't be taken back, because there is no file %d_….down.sql, and "+
					"so it can't be applied again",
					step.Up, step.Version)
			}
		}
		taken := slices.Clone(steps)
		slices.Reverse(taken)
		for _, step := range taken {
			steps = append(steps, newStep(step.File, false, int(step.Version)))
		}
		return steps, short, nil
	}
}

func goTo(version uint, allowMissing bool) plan {
	return func(s *state) ([]Step, int, error) {
		if err := s.known(s.at, false); err != nil {
			return nil, 0, err
		}
		if err := s.known(int(version), true); err != nil {
			return nil, 0, err
		}
		steps, err := s.downs(int(version))
		if err != nil {
			return nil, 0, err
		}
		at := s.at
		if len(steps) > 0 {
			at = steps[len(steps)-1].target
			if at >= int(version) {
				return steps, 0, nil
			}
		}
		more, err := s.ups(int(version), at, allowMissing)
		if err != nil {
			return nil, 0, err
		}
		return append(steps, more...), 0, nil
	}
}

// ups returns the migrations up to version to that aren't applied, for a database that is at
// version at. Late migrations come first, if they are allowed, and don't change the version. If the
// file of a migration that stays applied was edited, ups returns an error.
func (s *state) ups(to, at int, allowMissing bool) (steps []Step, err error) {
	var late []File
	var edited []File
	for _, f := range s.files {
		v := int(f.Version)
		switch {
		case v <= at && s.isEdited(f):
			edited = append(edited, f)
		case v > to, v <= at && s.isApplied(f):
		default:
			if v <= at {
				late = append(late, f)
			}
			steps = append(steps, newStep(f, false, max(v, at)))
			steps[len(steps)-1].Late = v <= at
		}
	}
	var problems []error
	if len(edited) > 0 {
		problems = append(problems, &EditedError{Files: edited})
	}
	if len(late) > 0 && !allowMissing {
		problems = append(problems, &LateError{Files: late, Version: at})
	}
	return steps, errors.Join(problems...)
}

// downs returns the steps that undo all applied migrations after a version, the last one first.
func (s *state) downs(to int) (steps []Step, err error) {
	var applied []File
	for _, f := range s.files {
		switch {
		case s.isApplied(f):
			applied = append(applied, f)
		case int(f.Version) == s.at && s.at > to:
			return nil, &LateError{Files: []File{f}, Version: s.at}
		}
	}
	for i := len(applied) - 1; i >= 0 && int(applied[i].Version) > to; i-- {
		target := -1
		if i > 0 {
			target = int(applied[i-1].Version)
		}
		steps = append(steps, newStep(applied[i], true, target))
	}
	return steps, nil
}

// limited returns the first n steps and how many are short. As in golang-migrate, if there are
// fewer than n steps they are applied before the error is returned.
func limited(steps []Step, n int) ([]Step, int, error) {
	if n == All || len(steps) == n {
		return steps, 0, nil
	}
	return steps[:min(n, len(steps))], max(n-len(steps), 0), nil
}

// known returns an error if there is no migration of version. asked reports whether the caller
// named the version.
func (s *state) known(version int, asked bool) error {
	if _, known := index(s.files, version); known {
		return nil
	}
	return &UnknownVersionError{Version: uint(version), Latest: s.files[len(s.files)-1].Version, Asked: asked}
}
