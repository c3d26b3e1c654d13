package dialect

import (
	"context"
	"database/sql"
	"errors"
)

// ErrDeadlock is wrapped by an error that says that the server has ended a deadlock at our cost.
var ErrDeadlock = errors.New("deadlock")

// TxLocker is the power to take locks in a transaction of the caller's, which end with it. Their names have nothing
// to do with those of lease locks, nor with those of SessionLocker. No setting of the session stays changed.
type TxLocker interface {
	// LockTx takes the lock in tx. False: it is another's, and wait is false; tx can be used on. If wait is true it
	// waits in the server's own queue, or as the server does, until ctx ends, or tx can't wait on: then tx can only be
	// rolled back. The error wraps ErrDeadlock where the server says so, and names what it tells about who is
	// involved. To take a lock that tx has already changes nothing, or makes a shared one exclusive. A nil tx is an
	// error that wraps ErrInvalid, a shared lock where the engine has none one that wraps ErrUnsupported.
	LockTx(ctx context.Context, tx *sql.Tx, lock ServerLock, wait bool) (bool, error)
}
