package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/open"
)

// unlock reports that nobody holds the lock only if it could read all kinds of lock.
func TestWhoHoldsTheLock(t *testing.T) {
	hidden := lock.Holder{Kind: lock.Session}
	unseen := lock.Holder{Kind: lock.Session, Unseen: errors.New("there is a pooler")}
	for _, test := range []struct {
		name   string
		kind   lock.Kind
		looked []lock.Holder
		held   int
		part   []string
		result string
	}{
		{"nobody", lock.Auto, nil, 0, []string{"nobody holds the migration lock\n"}, `{"holders":[]}`},
		{
			"shown", lock.Auto,
			[]lock.Holder{{Kind: lock.Session, Holder: "app-1"}},
			1,
			[]string{"the migration lock, a session, is held by app-1\n"},
			`{"holders":[{"kind":"session","holder":"app-1"}]}`,
		},
		{
			"hidden", lock.Auto,
			[]lock.Holder{hidden},
			1,
			[]string{"the migration lock, a session, is held by somebody, in a session that this account can't see\n"},
			`{"holders":[{"kind":"session","hidden":true}]}`,
		},
		{
			"unseen", lock.Auto,
			[]lock.Holder{unseen},
			0,
			[]string{"nobody holds the migration lock as a lease\nwhether a session holds it can't be found out " +
				"from here: there is a pooler\n"},
			`{"holders":[],"unseen":[{"kind":"session","why":"there is a pooler"}]}`,
		},
		{
			"a lease, and what is unseen", lock.Auto,
			[]lock.Holder{{Kind: lock.Lease, Holder: "app-1"}, unseen},
			1,
			[]string{"a lease, is held by app-1", "whether a session holds it can't be found out"},
			`{"holders":[{"kind":"lease","holder":"app-1"}],"unseen":[{"kind":"session","why":"there is a pooler"}]}`,
		},
		{
			"leases alone", lock.Lease, nil, 0,
			[]string{"nobody holds the migration lock as a lease, and --lock=lease reads no other kind\n"},
			`{"holders":[]}`,
		},
	} {
		var output bytes.Buffer
		a := &app{stderr: &output}
		a.lock.kind = test.kind
		if held := a.holders(test.looked); len(held) != test.held {
			t.Errorf("%s: held by %+v", test.name, held)
		}
		for _, part := range test.part {
			if !strings.Contains(output.String(), part) {
				t.Errorf("%s: the output is %q, want %q", test.name, output.String(), part)
			}
		}
		if result, err := json.Marshal(a.result); err != nil || string(result) != test.result {
			t.Errorf("%s: %s, %v; want %s", test.name, result, err, test.result)
		}
	}
}

// For a session that isn't shown, the message names the privilege that shows it. The exit code is 5
// in either case.
func TestHowToEndASession(t *testing.T) {
	for _, engine := range []string{"sqlserver", "postgres", "mysql"} {
		a := &app{database: engine + "://u@127.0.0.1:1/d"}
		e, err := open.Migrations(a.database)
		if err != nil {
			t.Fatal(err)
		}
		for holder, hidden := range map[string]bool{"app-1 (session 51)": false, "": true} {
			err := a.breakLock(t.Context(), nil, lock.Holder{Kind: lock.Session, Holder: holder}, true)
			if err == nil || explain(err).Exit != 5 || !strings.Contains(err.Error(), e.EndSession) ||
				strings.Contains(err.Error(), "This account can't see") != hidden ||
				hidden && engine == "sqlserver" && !strings.Contains(err.Error(), "VIEW SERVER STATE") {
				t.Errorf("%s, held by %q: %v", engine, holder, err)
			}
		}
	}
}
