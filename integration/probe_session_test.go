package integration

import (
	"database/sql"
	"testing"
)

// prove checks what the locks promised, by the ledger and by what the workers reported of their
// jobs: no overlap, fences that strictly grow, nothing lost, nothing written twice, and nothing
// written that was refused.
func (b *ledgerCheck) prove(t testing.TB, db *sql.DB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var before entry
	seen := make(map[jobID]bool)
	all := readLedger(t, db)
	for _, e := range all {
		if e.Account != before.Account {
			before = entry{Account: e.Account}
		}
		id := jobID{e.Worker, e.Routine, e.Job}
		switch {
		case e.Line != before.Line+1:
			t.Errorf("overlap: account %d has line %d after line %d (fences %d, %d)",
				e.Account, e.Line, before.Line, e.Fence, before.Fence)
		case e.Balance != before.Balance+e.Job:
			t.Errorf("overlap: account %d, line %d: its balance doesn't continue that of the line before",
				e.Account, e.Line)
		case b.terms && e.Fence == before.Fence && e.Worker == before.Worker:
		case e.Fence <= before.Fence:
			t.Errorf("account %d, line %d: fence %d is not greater than %d before it",
				e.Account, e.Line, e.Fence, before.Fence)
		}
		if seen[id] {
			t.Errorf("twice: %+v is in the ledger twice", id)
		}
		seen[id] = true
		if !b.allowed(id) {
			t.Errorf("%+v is in the ledger, but its worker reported %q", id, b.jobs[id])
		}
		before = e
	}
	lost := 0
	for id, outcome := range b.jobs {
		if outcome == wrote && !seen[id] {
			lost++
			t.Errorf("lost: %+v was reported as written, but is not in the ledger", id)
		}
	}
	t.Logf("the ledger has %d lines; jobs by outcome: %v", len(all), b.counts)
	if b.counts[wrote] == 0 {
		t.Error("no job was written, so this run has proven nothing")
	}
}
