package sqlserver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// kind separates the locks of sessions from those of transactions, which share one name space.
type kind string

const (
	sessionKind kind = "session"
	txKind      kind = "transaction"
)

// resource returns the name for sp_getapplock, in 64 characters. The procedure truncates names at
// 255, and a hash is compared byte for byte under every collation. The prefix that is hashed with
// the name avoids an application's own names.
func (k kind) resource(name string) string {
	sum := sha256.Sum256([]byte("sqllock " + string(k) + "\x00" + name))
	return hex.EncodeToString(sum[:])
}

// mode returns the lock mode for sp_getapplock.
func mode(lock dialect.ServerLock) string {
	if lock.Shared {
		return "Shared"
	}
	return "Exclusive"
}

// Statuses of sp_getapplock. A status of 0 or more is a grant.
const (
	statusTimeout  = -1
	statusDeadlock = -3
	statusOther    = -999
)

// granted returns what the status of a try means. A mistake in the parameters is an error in
// addition to the status. So -999 without an error means what it means to Babelfish: another
// session has the lock.
func granted(statuses []int, err error) (bool, error) {
	switch {
	case err != nil:
		return false, err
	case len(statuses) != 1:
		return false, fmt.Errorf("sp_getapplock returned %d statuses", len(statuses))
	case statuses[0] == statusTimeout || statuses[0] == statusOther:
		return false, nil
	}
	return statuses[0] >= 0, refusal(statuses[0])
}

// refusal returns the error for a status, or nil if the lock was granted.
func refusal(status int) error {
	switch {
	case status >= 0:
		return nil
	case status == statusDeadlock:
		return fmt.Errorf("%w: sp_getapplock was the victim (%d); roll the transaction back, so that another that "+
			"waits for its locks goes on, begin again, and take locks in the same order everywhere",
			dialect.ErrDeadlock, status)
	}
	return fmt.Errorf("sp_getapplock returned %d", status)
}
