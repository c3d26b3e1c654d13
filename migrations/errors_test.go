package migrations_test

import (
	"strings"
	"testing"

	"github.com/sqllock/sqllock/migrations"
)

// An error that says what to run names the command for the tables that it is about.
func TestErrorsNameTheCommand(t *testing.T) {
	for own, prefix := range map[bool]string{false: "`sqllock-migrate ", true: "`sqllock-migrate own "} {
		for _, test := range []struct {
			err     error
			command string
		}{
			{&migrations.DirtyError{Version: 2, Own: own}, "force"},
			{&migrations.StatementError{File: "2_b.up.sql", Version: 2, Own: own, Dirty: true}, "force"},
			{&migrations.StoppedError{File: "2_b.up.sql", Version: 2, Own: own, Dirty: true}, "force"},
			{
				&migrations.StoppedError{File: "2_b.up.sql", Version: 2, Own: own, Dirty: true, Unconfirmed: true},
				"force",
			},
			{&migrations.VersionTableError{Rows: []string{"1", "2"}, Own: own}, "force"},
			{&migrations.UnconfirmedError{File: "2_b.up.sql", Own: own}, "version"},
		} {
			if text := test.err.Error(); !strings.Contains(text, prefix+test.command+"`") {
				t.Errorf("own %t: %q doesn't name %s%s`", own, text, prefix, test.command)
			}
		}
	}
}
