package integration

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/sqllock"
)

// galeraOutcome: no node sees another's claim before the commit, and then one of the two transactions fails there. Done again, it
// finds what the other one has remembered, on any node at once.
func galeraOutcome(t *testing.T, targets []*open.Database) {
	var clients []*sqllock.Client
	for _, target := range targets[:2] {
		clients = append(clients, client(t, target, sqllock.Options{}))
	}
	work := func(text string) func(context.Context, *sql.Tx) ([]byte, error) {
		return func(context.Context, *sql.Tx) ([]byte, error) { return []byte(text), nil }
	}
	for round := range 5 {
		key := fmt.Sprint("galera/", round)
		a, b := mustBegin(t, targets[0]), mustBegin(t, targets[1])
		for i, tx := range []*sql.Tx{a, b} {
			if _, err := clients[i].OnceTx(t.Context(), tx, key, work(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(); err == nil || targets[1].Dialect.Classify(err) != dialect.Transient {
			t.Errorf("the second commit: %v; want a conflict", err)
		}
		again := mustBegin(t, targets[1])
		out, err := clients[1].OnceTx(t.Context(), again, key, work("again"))
		if err != nil || string(out.Result) != "0" || !out.Replayed {
			t.Errorf("done again: %q, replayed %t, %v", out.Result, out.Replayed, err)
		}
		if err := again.Commit(); err != nil {
			t.Error(err)
		}
		out, err = clients[1].Once(t.Context(), key, func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
		if err != nil || string(out.Result) != "0" {
			t.Errorf("recalled as %q, %v", out.Result, err)
		}
	}
}
