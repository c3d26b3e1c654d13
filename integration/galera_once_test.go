package integration

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// galeraOutcome lets two nodes claim one key. Neither sees the other's claim before the commit, and
// then one of the two transactions fails there. When that one is repeated, it finds the outcome
// that the other has remembered, on any node and without delay.
func galeraOutcome(t *testing.T, targets []*open.Database) {
	var clients []*sqllock.Client
	for _, target := range targets[:2] {
		clients = append(clients, client(t, target, sqllock.Options{}))
	}
	work := func(text string) func(context.Context) ([]byte, error) {
		return func(context.Context) ([]byte, error) { return []byte(text), nil }
	}
	for round := range 5 {
		key := fmt.Sprint("galera/", round)
		a, b := mustBegin(t, targets[0]), mustBegin(t, targets[1])
		for i, tx := range []*sql.Tx{a, b} {
			if _, err := once.DoTx(t.Context(), clients[i], tx, key, work(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(); err == nil || targets[1].Dialect.Classify(err) != dialect.ClassTransient {
			t.Errorf("the second commit: %v; want a conflict", err)
		}
		again := mustBegin(t, targets[1])
		out, err := once.DoTx(t.Context(), clients[1], again, key, work("again"))
		if err != nil || string(out.Result) != "0" || !out.Replayed {
			t.Errorf("the repeated transaction: %q, replayed %t, %v", out.Result, out.Replayed, err)
		}
		if err := again.Commit(); err != nil {
			t.Error(err)
		}
		none := func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil }
		out, err = once.Do(t.Context(), clients[1], key, none)
		if err != nil || string(out.Result) != "0" {
			t.Errorf("once.Do returned the outcome %q, %v", out.Result, err)
		}
	}
}
