package request

// The options of the kinds of locks, as interfaces that the compiler distinguishes.
type (
	// Lock is an option of an exclusive lock and of a permit.
	Lock interface{ ApplyLock(*Request) }

	// Shared is an option of a reader.
	Shared interface{ ApplyShared(*Request) }

	// Set is an option of a set of locks.
	Set interface{ ApplySet(*Request) }

	// Session is an option of a session lock.
	Session interface{ ApplySession(*Request) }

	// Election is an option of a candidate in an election.
	Election interface{ ApplyElection(*Request) }

	// Quorum is an option of a lock of a quorum.
	Quorum interface{ ApplyQuorum(*Request) }
)

// Option implements every option interface. The interface that a constructor returns decides where
// the option may be used.
type Option func(*Request)

// ApplyLock sets the option.
func (o Option) ApplyLock(r *Request) { o(r) }

// ApplyShared sets the option.
func (o Option) ApplyShared(r *Request) { o(r) }

// ApplySet sets the option.
func (o Option) ApplySet(r *Request) { o(r) }

// ApplySession sets the option.
func (o Option) ApplySession(r *Request) { o(r) }

// ApplyElection sets the option.
func (o Option) ApplyElection(r *Request) { o(r) }

// ApplyQuorum sets the option.
func (o Option) ApplyQuorum(r *Request) { o(r) }
