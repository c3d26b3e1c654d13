package integration

import (
	"database/sql"
	"fmt"
	"testing"
)

// prove checks what the locks promised, by the ledger and by what the workers reported of their
// jobs: no overlap, fences that strictly grow, nothing lost, nothing written twice, and nothing
// written that was refused.
func (b *ledgerCheck) prove(t testing.TB, db *sql.DB) {
	t.Helper()
	all := readLedger(t, db)
	for _, what := range b.compare(all) {
		t.Error(what)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.Logf("the ledger has %d lines; jobs by outcome: %v", len(all), b.counts)
	if b.counts[wrote] == 0 {
		t.Error("no job was written, so this run has proven nothing")
	}
}

// compare compares the ledger with the workers' events, and returns what is wrong with it. What the
// descriptions begin with is one of the constants below.
func (b *ledgerCheck) compare(ledger []entry) (wrong []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	say := func(what, format string, args ...any) { wrong = append(wrong, what+fmt.Sprintf(format, args...)) }
	var before entry
	seen := make(map[jobID]bool)
	for _, e := range ledger {
		if e.Account != before.Account {
			before = entry{Account: e.Account}
		}
		id := jobID{e.Worker, e.Routine, e.Job}
		switch {
		case e.Line != before.Line+1:
			say(overlapped, "account %d has line %d after line %d (fences %d, %d)",
				e.Account, e.Line, before.Line, e.Fence, before.Fence)
		case e.Balance != before.Balance+e.Job:
			say(overlapped, "account %d, line %d: its balance doesn't continue that of the line before",
				e.Account, e.Line)
		case b.terms[e.Account] && e.Fence == before.Fence && e.Worker == before.Worker:
		case e.Fence <= before.Fence:
			say(wentBack, "account %d, line %d: fence %d is not greater than %d before it",
				e.Account, e.Line, e.Fence, before.Fence)
		}
		if seen[id] {
			say("twice: ", "%+v is in the ledger twice", id)
		}
		seen[id] = true
		if !b.allowed(id) {
			say("unreported: ", "%+v is in the ledger, but its worker reported %q", id, b.jobs[id])
		}
		before = e
	}
	for id, outcome := range b.jobs {
		if outcome == wrote && !seen[id] {
			say("lost: ", "%+v was reported as written, but is not in the ledger", id)
		}
	}
	return wrong
}

// What compare's descriptions begin with if two holders overlapped, or a later one had no greater
// fence.
const (
	overlapped = "overlap: "
	wentBack   = "fence: "
)
