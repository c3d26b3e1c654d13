package dialect

import "context"

// Checker is implemented by a dialect that can examine a database more closely than Probe does, for
// what could make locks fail or surprise. It tries what it can on connections of its own, may take
// a second, and leaves nothing behind.
type Checker interface {
	// Check returns what it found, good or bad, in an order that suits a reader. An error means
	// that it couldn't examine the database.
	Check(ctx context.Context) ([]Finding, error)
}

// Finding is the result of one check.
type Finding struct {
	What    string  // the subject, in lower case: "default isolation level"
	Found   string  // the value: "read committed"
	Verdict Verdict // what that means for locks
	Advice  string  // what to do about it; empty if the verdict is Good
}

// Verdict is what a finding means for locks.
type Verdict string

// The verdicts, the best one first.
const (
	VerdictGood   Verdict = "good"   // nothing to do
	VerdictNotice Verdict = "notice" // locks hold, but something may surprise
	VerdictBad    Verdict = "bad"    // something doesn't work here and is refused
)
