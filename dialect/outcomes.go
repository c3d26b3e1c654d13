package dialect

import (
	"context"
	"database/sql"
	"time"
)

// Outcomes are the rows of sqllock_outcomes: what became of the work for a name that is to be done once. An outcome is
// kept until a time that it was given, by the database's clock; after that it is as if there were none.
type Outcomes interface {
	// Recall reads the outcome of each name that is kept now. It sees all that was committed before it began, and nothing
	// that is not: so it may wait for a transaction that has claimed the name, and must be read where writes go.
	Recall(ctx context.Context, names []string) ([]Outcome, error)

	// Remember writes each outcome, unless one of that name is kept: the first one wins. It answers the one that holds.
	// Sent again, it finds its own. It waits for a transaction that has claimed the name.
	Remember(ctx context.Context, done []Done) ([]Outcome, error)

	// ClaimTx answers, for each name, the outcome that is kept, or that there is none; then the name is tx's until that
	// ends: others' ClaimTx and Remember of it wait. If tx commits, they see what it has settled, and if it settled
	// nothing, or rolls back, nothing was changed for them. Above READ COMMITTED, and in a cluster whose members all
	// take writes, it may end in an error instead, also of tx's commit: the caller rolls back and begins anew. So it does
	// after any error. A nil tx is an error that wraps ErrInvalid.
	ClaimTx(ctx context.Context, tx *sql.Tx, names []string) ([]Outcome, error)

	// SettleTx is Remember in tx, for names that tx has claimed: it is to be seen when tx commits. Not kept: the name
	// wasn't claimed in tx, and nothing was changed. A nil tx is an error that wraps ErrInvalid.
	SettleTx(ctx context.Context, tx *sql.Tx, done []Done) ([]Outcome, error)

	// PurgeOutcomes deletes up to limit outcomes that are not kept any longer, skipping rows that others are at, and
	// answers how many.
	PurgeOutcomes(ctx context.Context, limit int) (int, error)
}

// Done is an outcome to be remembered.
type Done struct {
	Name   string        // as of a lock: 1 to 255 bytes, compared byte for byte
	Fence  int64         // of the lock under which it was done; 0: there was none
	Failed bool          // Result is what the error said
	Result []byte        // up to 64 KiB; nil is empty
	Keep   time.Duration // from now on
}

// Outcome is what is remembered of a name.
type Outcome struct {
	Kept   bool      // there is one; else the fields below are zero
	Fence  int64     // as in Done
	Failed bool      // as in Done
	Result []byte    // as in Done; nil where it is empty
	At     time.Time // when it was remembered, by the database's clock
}
