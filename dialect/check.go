package dialect

import "context"

// Checker is the power to look closer than Probe does at what could make locks fail or surprise. It tries what it can
// on connections of its own, may take a second, and leaves nothing behind.
type Checker interface {
	// Check answers what it found, good or bad, in an order that suits a reader. An error means that it couldn't look.
	Check(ctx context.Context) ([]Finding, error)
}

// Finding is one thing that was looked at.
type Finding struct {
	What    string  // "default isolation level", in lower case
	Found   string  // "read committed"
	Verdict Verdict // what that means for locks
	Advice  string  // unless the verdict is Good: what to do about it
}

// Verdict is what a finding means for locks.
type Verdict string

// The verdicts, the best one first.
const (
	Good   Verdict = "good"   // nothing to do
	Notice Verdict = "notice" // locks hold, but something may surprise
	Bad    Verdict = "bad"    // something doesn't work here, and is refused
)
