package engine

import (
	"errors"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// A row that is passed over although it could be taken is waited for, and taken; but not where nobody is waited for.
func TestTaking(t *testing.T) {
	got := dialect.Grant{Granted: true, Fence: 1}
	failure := errors.New("failure")
	for what, c := range map[string]struct {
		takes    int // before a take works; -1: never
		seen     []bool
		inserted dialect.Grant
		hurried  bool
		want     dialect.Grant
		err      error
	}{
		"free":                            {want: got},
		"held":                            {takes: -1, seen: []bool{false}},
		"not there":                       {takes: -1, inserted: got, want: got},
		"not there, and another's by now": {takes: 1, want: got},
		"passed over":                     {takes: 1, seen: []bool{true}, want: got},
		"passed over always":              {takes: -1, seen: []bool{true}, err: ErrBusy},
		"passed over in a hurry":          {takes: -1, seen: []bool{true}, hurried: true},
		"being made, in a hurry":          {takes: -1, hurried: true},
	} {
		takes, settled := c.takes, 0
		taking := Taking{
			Take: func() (dialect.Grant, error) {
				if takes == 0 {
					return got, nil
				}
				takes--
				return dialect.Grant{}, nil
			},
			See:    func() ([]bool, error) { return c.seen, nil },
			Insert: func() (dialect.Grant, error) { return c.inserted, nil },
			Settle: func() error { settled++; return nil },
		}
		if c.hurried {
			taking.Settle = nil
		}
		grant, err := taking.Run()
		if grant != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", what, grant, err)
		}
		if waits := len(c.seen) == 1 && c.seen[0] && !c.hurried; waits != (settled > 0) {
			t.Errorf("%s: waited %d times", what, settled)
		}
		taking.See = func() ([]bool, error) { return nil, failure }
		if takes = -1; c.want.Granted {
			takes = 1
		}
		if _, err := taking.Run(); !errors.Is(err, failure) {
			t.Errorf("%s, and a read that fails: %v", what, err)
		}
	}
}
