package dialect

import (
	"context"
	"time"
)

// Waiters are the rows of sqllock_waiters: who waits for which lock, in the order in which they came. They serve order,
// wake-ups and people; that a lock has one holder never depends on them.
type Waiters interface {
	// Enqueue puts each waiter at the end of the queue for its key, with a ticket greater than all that are in it. One whose
	// owner is in it already keeps its ticket: sending it again is harmless.
	Enqueue(ctx context.Context, waiters []Waiter) ([]Place, error)

	// Dequeue takes each waiter out of its queue. False: it wasn't in it; where the engine is a Waker, the lock may have been
	// handed to it then.
	Dequeue(ctx context.Context, claims []Claim) ([]bool, error)

	// Queue reads up to limit of those who wait for key, the first first, and only those whose lease hasn't run out. Like
	// Look it takes no lock and waits for none.
	Queue(ctx context.Context, key Key, limit int) ([]Waiting, error)

	// Holding reads up to limit of those who wait, for whatever lock, and hold something meanwhile (Waiter.Holds), in the order
	// of the tickets beyond after; only those whose lease hasn't run out. Like Look it takes no lock and waits for none.
	Holding(ctx context.Context, after int64, limit int) ([]Waiting, error)

	// Pass gives each lock that still names the claim's owner to the next acquisition, of the same key, in one statement and
	// one commit, with a fence as in Acquire: what Release and Acquire do if nobody comes between. Not granted: it names
	// another owner, it isn't to be free yet (HoldAtLeast), or somebody is in its queue under another lease than Next's, one
	// that lives; then nothing was changed. It waits behind a Guard of the lock. Sent again after a lost reply, it is refused, though the row
	// names Next's owner: Acquire says so.
	Pass(ctx context.Context, passes []Pass) ([]Grant, error)

	// PurgeWaiters deletes up to limit waiters whose lease is gone or has run out, skipping rows that others are at, and
	// answers how many.
	PurgeWaiters(ctx context.Context, limit int) (int, error)
}

// Waiter asks for a place in the queue.
type Waiter struct {
	Request // what it waits to be granted

	// Channel is that of the Wakes which hear when the lock was handed to this waiter. Empty: it polls, and is handed nothing.
	Channel string

	// Holds is what it holds meanwhile, in the client's own words: kept for Holding, of any length. Empty: nothing.
	Holds string
}

// Place is that of a waiter in the queue.
type Place struct {
	Ticket int64 // grows from one who comes to the next
	First  bool  // nobody with a living lease was seen before it
}

// Waiting is somebody in the queue, as he was seen.
type Waiting struct {
	Key
	Ticket  int64     // as in Place
	Owner   string    // as in the Request
	LeaseID string    // as in the Request
	Holder  string    // of the lease, for people
	Note    string    // of the request
	Since   time.Time // by the database's clock
	Holds   string    // as in the Waiter
}

// Pass is a lock that goes from one acquisition to the next one of the same process.
type Pass struct {
	Claim
	Next Request // of the same key
}

// Waker is the power to tell a waiter at once that it has got the lock. Where an engine has it, Release gives a lock that
// would be free now to the first waiter in its queue whose lease lives, as Pass would, deletes that waiter's row in the same
// statement, and tells its Wakes. Where that one has no Channel the lock is freed, for those who poll would starve else. Several releases in one call do so too. A message can be lost:
// the waiter's own look at the row finds its owner there.
type Waker interface {
	// OpenWakes opens a connection that is the caller's alone, never one of the application's pool, and makes sure, by trying, that messages
	// come through. Where they don't, as behind a transaction pooler, the error wraps ErrUnsupported and says why.
	OpenWakes(ctx context.Context, holder string) (Wakes, error)
}

// Wakes is a connection on which hand-overs are heard of. Only Close is safe while another call is under way.
type Wakes interface {
	// Channel is what a Waiter names to be told here.
	Channel() string

	// Next waits for a hand-over, until ctx ends or the connection fails. After an error, Close.
	Next(ctx context.Context) (Handover, error)

	// Close ends the connection.
	Close() error
}

// Handover tells a waiter that it has the lock.
type Handover struct {
	Owner string // of the waiter's Request
	Fence int64  // of the lock row that names it
}
