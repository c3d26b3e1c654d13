package dialect

import (
	"context"
	"time"
)

// Waiters are the rows of sqllock_waiters. They record which request waits for which lock, in order
// of arrival. They are for the order of waiters, for wake-ups and for people. That a lock has one
// holder never depends on them.
type Waiters interface {
	// Enqueue puts each waiter at the end of the queue for its key, with a ticket greater than all
	// those in the queue. A waiter whose owner is already in the queue keeps its ticket, so Enqueue
	// can be repeated.
	Enqueue(ctx context.Context, waiters []Waiter) ([]QueuePosition, error)

	// Dequeue removes each waiter from its queue. A result of false means that it wasn't in the
	// queue; if the engine is a [Notifier], the lock may then have been handed to it.
	Dequeue(ctx context.Context, claims []Claim) ([]bool, error)

	// Queue returns up to limit waiters for key, in the order of the queue. It leaves out those
	// whose lease has expired. Like Get it takes no lock and waits for none.
	Queue(ctx context.Context, key Key, limit int) ([]Waiting, error)

	// ListWaiters returns up to limit waiters, for any lock, that hold nothing while they wait, in
	// the order of their tickets beyond after. It leaves out those whose lease has expired. Like
	// Get it takes no lock and waits for none.
	ListWaiters(ctx context.Context, after int64, limit int) ([]Waiting, error)

	// WaitingHolders returns up to limit waiters, for any lock, that hold something while they wait
	// (see Waiter.Holds), in the order of their tickets beyond after. It leaves out those whose
	// lease has expired. Like Get it takes no lock and waits for none.
	WaitingHolders(ctx context.Context, after int64, limit int) ([]Waiting, error)

	// Transfer gives each lock that still names the claim's owner to the next acquisition of the
	// same key, in one statement and one commit, with a fence as in Acquire. The effect is that of
	// Release and Acquire with nothing in between. It waits behind a Guard of the lock. The lock is
	// not granted, and nothing is changed, in these cases:
	//
	//   - The lock names another owner.
	//   - It can't be free yet (HoldAtLeast).
	//   - A waiter is in its queue under a live lease other than Next's.
	//   - The Transfer was sent before and its reply was lost. The row then names Next's owner, and
	//     Acquire grants it the lock.
	Transfer(ctx context.Context, transfers []Transfer) ([]Grant, error)

	// PurgeWaiters deletes up to limit waiters whose lease is gone or has expired. It skips rows
	// that others have locked, and returns how many it has deleted.
	PurgeWaiters(ctx context.Context, limit int) (int, error)
}

// Waiter is a request that is put into the queue.
type Waiter struct {
	Request // the request that waits

	// Channel is that of the [Listener] which is notified when the lock is handed to this waiter. A
	// waiter with an empty Channel polls, and is never handed the lock.
	Channel string

	// Holds is a text of any length in which the client describes what the waiter holds meanwhile.
	// It is kept for WaitingHolders. It is empty if the waiter holds nothing.
	Holds string
}

// QueuePosition is the position of a waiter in the queue.
type QueuePosition struct {
	Ticket int64 // increases from each waiter to the next
	First  bool  // no earlier waiter with a live lease was found
}

// Waiting is a waiter in the queue, as it was read.
type Waiting struct {
	Key
	Ticket  int64     // as in QueuePosition
	Owner   string    // as in the Request
	LeaseID string    // as in the Request
	Holder  string    // of the lease, for people
	Note    string    // of the request
	Since   time.Time // by the database's clock
	Holds   string    // as in the Waiter
}

// Transfer describes a lock that passes from one acquisition to another of the same process.
type Transfer struct {
	Claim
	Next Request // of the same key
}

// Notifier is implemented by an engine that can notify a waiter when it has got the lock. On such
// an engine Release gives a lock that would be free now to the first waiter in its queue whose
// lease is live, as Transfer would. The same statement deletes that waiter's row and notifies its
// [Listener]. If that waiter has no Channel, Release frees the lock instead; otherwise pollers
// would starve. This also applies to several releases in one call.
//
// A notification can be lost. The waiter then finds its owner in the lock row when it next reads
// it.
type Notifier interface {
	// OpenListener opens a connection that is the caller's alone, never one of the application's
	// pool. It makes sure, by trying, that notifications arrive. Where they don't, as behind a
	// transaction pooler, the error wraps [ErrUnsupported] and gives the reason.
	OpenListener(ctx context.Context, holder string) (Listener, error)
}

// Listener is a connection that receives notifications of hand-overs. Only Close is safe while
// another call is in progress.
type Listener interface {
	// Channel returns the channel that a [Waiter] names to be notified through this Listener.
	Channel() string

	// Next waits for a hand-over until ctx ends or the connection fails. After an error the caller
	// must Close the Listener.
	Next(ctx context.Context) (Handover, error)

	// Close ends the connection.
	Close() error
}

// Handover notifies a waiter that it has the lock.
type Handover struct {
	Owner string // of the waiter's Request
	Fence int64  // of the lock row that names it
}
