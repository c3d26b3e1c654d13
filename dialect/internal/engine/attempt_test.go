package engine

import (
	"errors"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// A row that was skipped although it could be taken is waited for and taken, unless Await is nil.
func TestAttempt(t *testing.T) {
	got := dialect.Grant{Granted: true, Fence: 1}
	failure := errors.New("failure")
	for what, c := range map[string]struct {
		takes    int // number of takes before one works; -1 for never
		seen     []bool
		inserted dialect.Grant
		noAwait  bool
		want     dialect.Grant
		err      error
	}{
		"free":                            {want: got},
		"held":                            {takes: -1, seen: []bool{false}},
		"not there":                       {takes: -1, inserted: got, want: got},
		"not there, and another's by now": {takes: 1, want: got},
		"passed over":                     {takes: 1, seen: []bool{true}, want: got},
		"passed over always":              {takes: -1, seen: []bool{true}, err: ErrBusy},
		"passed over in a hurry":          {takes: -1, seen: []bool{true}, noAwait: true},
		"being made, in a hurry":          {takes: -1, noAwait: true},
	} {
		takes, awaited := c.takes, 0
		taking := Attempt{
			Take: func() (dialect.Grant, error) {
				if takes == 0 {
					return got, nil
				}
				takes--
				return dialect.Grant{}, nil
			},
			See:    func() ([]bool, error) { return c.seen, nil },
			Insert: func() (dialect.Grant, error) { return c.inserted, nil },
			Await:  func() error { awaited++; return nil },
		}
		if c.noAwait {
			taking.Await = nil
		}
		grant, err := taking.Run()
		if grant != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", what, grant, err)
		}
		if waits := len(c.seen) == 1 && c.seen[0] && !c.noAwait; waits != (awaited > 0) {
			t.Errorf("%s: waited %d times", what, awaited)
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
