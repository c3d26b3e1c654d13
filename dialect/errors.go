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

// Class is what a failure means for what was asked.
type Class int

// The classes. The zero value is the one that promises nothing.
const (
	Unknown   Class = iota // it may have happened: the reply was lost
	Transient              // nothing happened, and the same may work in a moment: a deadlock, a refused connection
	Permanent              // nothing happened, and asking again won't help
	NoSchema               // permanent: a table or column of sqllock is missing
	ReadOnly               // permanent: this server takes no writes; it may be a replica
)

// String is the class's name for logs.
func (c Class) String() string {
	switch c {
	case Unknown:
		return "unknown"
	case Transient:
		return "transient"
	case Permanent:
		return "permanent"
	case NoSchema:
		return "no schema"
	case ReadOnly:
		return "read-only"
	}
	return fmt.Sprintf("Class(%d)", int(c))
}

// CheckDB refuses a pool that can't serve locks, with an error that wraps ErrInvalid: nil, or limited to one
// connection, where a transaction of the application's would starve the heartbeat and so lose every lock.
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
