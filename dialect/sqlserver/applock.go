package sqlserver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// kind keeps the locks of sessions and of transactions apart, which share one space of names.
type kind string

const (
	sessionKind kind = "session"
	txKind      kind = "transaction"
)

// resource is the name that sp_getapplock gets, in 64 characters: it cuts names at 255, and a hash is compared byte for
// byte wherever it is compared. What it is hashed with keeps an application's own names away.
func (k kind) resource(name string) string {
	sum := sha256.Sum256([]byte("sqllock " + string(k) + "\x00" + name))
	return hex.EncodeToString(sum[:])
}

// mode is sp_getapplock's.
func mode(lock dialect.ServerLock) string {
	if lock.Shared {
		return "Shared"
	}
	return "Exclusive"
}

// What sp_getapplock answers: 0 and more is a grant.
const (
	statusTimeout  = -1
	statusDeadlock = -3
	statusOther    = -999
)

// granted says what sp_getapplock's answer to a try means. Whatever is wrong with its parameters is an error beside
// the answer, so -999 without one means what it means to Babelfish: somebody has the lock.
func granted(statuses []int, err error) (bool, error) {
	switch {
	case err != nil:
		return false, err
	case len(statuses) != 1:
		return false, fmt.Errorf("sp_getapplock answered %d times", len(statuses))
	case statuses[0] == statusTimeout || statuses[0] == statusOther:
		return false, nil
	}
	return statuses[0] >= 0, refusal(statuses[0])
}

// refusal is the error for an answer that isn't "somebody has the lock".
func refusal(status int) error {
	switch {
	case status >= 0:
		return nil
	case status == statusDeadlock:
		return fmt.Errorf("%w: sp_getapplock was the victim (%d); roll the transaction back, so that another that waits "+
			"for its locks goes on, begin anew, and take locks in the same order everywhere", dialect.ErrDeadlock, status)
	}
	return fmt.Errorf("sp_getapplock answered %d", status)
}
