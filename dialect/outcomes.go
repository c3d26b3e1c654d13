package dialect

import (
	"context"
	"time"
)

// Outcomes are the rows of sqllock_outcomes: the results of work that is to be done once for a
// name. An outcome is kept until a given time, by the database's clock. After that it is as if
// there were none.
type Outcomes interface {
	// Recall returns the outcome of each name that is kept now. It sees everything that was
	// committed before it began, and nothing uncommitted. So it may wait for a transaction that has
	// claimed the name, and it must read where writes go.
	Recall(ctx context.Context, names []string) ([]Outcome, error)

	// Remember writes each outcome unless one of that name is kept: the first one wins. It returns
	// the outcome that is kept then. A repeated Remember finds the outcome that the first try
	// wrote. Remember waits for a transaction that has claimed the name.
	Remember(ctx context.Context, done []Done) ([]Outcome, error)

	// ClaimTx returns, for each name, the outcome that is kept, or that there is none. It claims
	// the name for tx until that ends. Meanwhile ClaimTx and Remember of that name wait in other
	// transactions. If tx commits, they see the outcome it has remembered. If it remembered
	// nothing, or rolls back, nothing was changed for them.
	//
	// Above READ COMMITTED, and in a cluster whose members all take writes, ClaimTx or the commit
	// of tx may fail with an error instead. After any error the caller rolls back and begins again.
	// If tx is nil the error wraps [ErrInvalid].
	ClaimTx(ctx context.Context, tx Tx, names []string) ([]Outcome, error)

	// RememberTx is Remember in tx, for names that tx has claimed. The outcomes become visible when
	// tx commits. A result that isn't Kept means that the name wasn't claimed in tx, and nothing
	// was changed. If tx is nil the error wraps [ErrInvalid].
	RememberTx(ctx context.Context, tx Tx, done []Done) ([]Outcome, error)

	// PurgeOutcomes deletes up to limit outcomes that are no longer kept. It skips rows that others
	// have locked, and returns how many it has deleted.
	PurgeOutcomes(ctx context.Context, limit int) (int, error)
}

// Done is an outcome to be remembered.
type Done struct {
	Name   string        // as of a lock: 1 to 255 bytes, compared byte for byte
	Fence  int64         // of the lock under which the work was done; 0 if there was none
	Failed bool          // Result is the text of an error
	Result []byte        // up to 64 KiB; nil means empty
	Keep   time.Duration // how long to keep the outcome from now on
}

// Outcome is what is remembered for a name.
type Outcome struct {
	Kept   bool      // there is an outcome; otherwise the fields below are zero
	Fence  int64     // as in Done
	Failed bool      // as in Done
	Result []byte    // as in Done; nil if it is empty
	At     time.Time // when it was remembered, by the database's clock
}
