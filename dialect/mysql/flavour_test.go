package mysql

import (
	"errors"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// Session locks are refused where GET_LOCK isn't MySQL's, or is local to one of several servers.
func TestWhoMayHoldSessions(t *testing.T) {
	for what, c := range map[string]struct {
		flavour
		refused bool
	}{
		"a server":           {},
		"MariaDB":            {flavour: flavour{maria: true}},
		"a node of a Galera": {flavour: flavour{maria: true, cluster: "a cluster"}, refused: true},
		"TiDB":               {flavour: flavour{product: tidb}, refused: true},
		"vtgate":             {flavour: flavour{product: vitess}, refused: true},
	} {
		if err := c.mayHoldSessions(); errors.Is(err, dialect.ErrUnsupported) != c.refused {
			t.Errorf("%s: %v, refused should be %t", what, err, c.refused)
		}
	}
}
