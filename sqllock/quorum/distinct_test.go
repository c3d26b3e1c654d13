package quorum_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/quorum"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// onServer is a database that says which servers it depends on.
type onServer struct {
	*sqllocktest.Dialect
	servers []string
}

func (d onServer) Identities(context.Context) ([]dialect.Identity, error) {
	var shares []dialect.Identity
	for _, id := range d.servers {
		shares = append(shares, dialect.Identity{What: "a server", ID: id})
	}
	return shares, nil
}

// A New that fails leaves no trace: the databases can be used for the right quorum
// afterwards.
func TestQuorumRefusalChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		dbs := []*sqllocktest.Dialect{db, sqllocktest.New(), sqllocktest.New(), sqllocktest.New(), sqllocktest.New()}
		on := func(i int, servers ...string) *sqllock.Client {
			return client(t, onServer{dbs[i], servers}, "a")
		}
		taken := &quorum.Options{MaxTTL: time.Hour}
		if _, err := quorum.New(t.Context(), []*sqllock.Client{on(2), on(3), on(4)}, taken); err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string]struct {
			clients []*sqllock.Client
			says    []string
		}{
			"a database twice": {
				[]*sqllock.Client{on(0), on(1), on(0)},
				[]string{"database 1 (memory) and database 3 (memory)", "the same database"},
			},
			"of five, one is twice": {[]*sqllock.Client{on(0), on(1), on(2), on(3), on(1)}, nil},
			"one server":            {[]*sqllock.Client{on(0, "x"), on(1, "y", "z"), on(2, "z")}, nil},
			"another's": {
				[]*sqllock.Client{on(0), on(1), on(2)},
				[]string{"1h0m0s", "DELETE FROM sqllock_locks WHERE name = 'quorum' AND slot = "},
			},
		} {
			_, err := quorum.New(t.Context(), bad.clients, nil)
			wantErr(t, name, err, sqllock.ErrInvalid)
			for _, say := range bad.says {
				if err != nil && !strings.Contains(err.Error(), say) {
					t.Errorf("%s: the error doesn't say %q: %v", name, say, err)
				}
			}
			for i, db := range dbs[:2] {
				if rows, err := db.List(t.Context(), dialect.Key{}, false, 10); err != nil || len(rows) > 0 {
					t.Errorf("%s: database %d has %v, %v", name, i+1, rows, err)
				}
			}
		}
		fresh := sqllocktest.New()
		right := []*sqllock.Client{on(0, "x"), on(1, "y"), client(t, onServer{fresh, []string{"z"}}, "a")}
		if _, err := quorum.New(t.Context(), right, nil); err != nil {
			t.Errorf("the right quorum: %v", err)
		}
	})
}

// Databases that depend on one server are refused, unless SharedServers is set.
func TestQuorumSharedServers(t *testing.T) {
	for name, test := range map[string]struct {
		servers [3][]string
		shared  string
	}{
		"three servers":   {[3][]string{{"a"}, {"b"}, {"c"}}, ""},
		"nobody knows":    {[3][]string{}, ""},
		"two databases":   {[3][]string{{"a"}, {"b"}, {"a"}}, "database 1 (memory) and database 3 (memory)"},
		"a replica":       {[3][]string{{"a"}, {"b", "a"}, {"c"}}, "database 1 (memory) and database 2 (memory)"},
		"replicas of one": {[3][]string{{"a"}, {"b", "x"}, {"c", "x"}}, "database 2 (memory) and database 3 (memory)"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *sqllocktest.Dialect) {
				var clients []*sqllock.Client
				for _, servers := range test.servers {
					clients = append(clients, client(t, onServer{sqllocktest.New(), servers}, "a"))
				}
				_, err := quorum.New(t.Context(), clients, nil)
				switch {
				case test.shared == "" && err != nil:
					t.Error(err)
				case test.shared != "" && (!errors.Is(err, sqllock.ErrInvalid) ||
					!strings.Contains(err.Error(), test.shared) || !strings.Contains(err.Error(), "share a server")):
					t.Errorf("error: %v", err)
				}
				_, err = quorum.New(t.Context(), clients, &quorum.Options{SharedServers: true})
				if err != nil {
					t.Errorf("SharedServers: %v", err)
				}
			})
		})
	}
}
