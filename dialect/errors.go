package dialect

import (
	"database/sql"
	"errors"
	"fmt"
)

// ErrInvalid is wrapped by every error about a value that the caller passed.
var ErrInvalid = errors.New("invalid argument")

// ErrUnsupported is wrapped by every error about something that this server can't do.
var ErrUnsupported = errors.New("not supported by this server")

// ErrRetryTx is wrapped by an error that says that a transaction conflicted with another one and
// that nothing of it was kept. The caller rolls it back and repeats it from its beginning.
var ErrRetryTx = errors.New("roll the transaction back and begin it again")

// ErrNoConnection is wrapped by an error of a call whose ctx ended while the application's pool had
// no free connection for it. It doesn't say whether anything may have happened.
var ErrNoConnection = errors.New("no free connection")

// Class is what a failure means for the request.
type Class int

// The classes. The zero value is the one that promises nothing.
const (
	ClassUnknown Class = iota // it may have happened: the reply was lost
	// nothing happened, and a retry may work in a moment: a deadlock, a refused connection
	ClassTransient
	ClassPermanent // nothing happened, and a retry won't help
	ClassNoSchema  // permanent: a table or column of sqllock is missing
	ClassReadOnly  // permanent: this server takes no writes; it may be a replica
)

// String returns the class's name for logs.
func (c Class) String() string {
	switch c {
	case ClassUnknown:
		return "unknown"
	case ClassTransient:
		return "transient"
	case ClassPermanent:
		return "permanent"
	case ClassNoSchema:
		return "no schema"
	case ClassReadOnly:
		return "read-only"
	}
	return fmt.Sprintf("Class(%d)", int(c))
}

// CheckDB returns an error that wraps [ErrInvalid] if db can't serve locks: it is nil, or limited
// to one connection, so that a transaction of the application would starve the heartbeat and lose
// every lock.
func CheckDB(db *sql.DB) error {
	if db == nil {
		return fmt.Errorf("%w: the *sql.DB is nil", ErrInvalid)
	}
	if n := db.Stats().MaxOpenConnections; n == 1 {
		return fmt.Errorf("%w: MaxOpenConns is 1: an open transaction would starve the heartbeat and lose every lock; "+
			"set at least 2, or give sqllock an *sql.DB of its own", ErrInvalid)
	}
	return nil
}
