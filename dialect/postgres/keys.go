package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/sqllock/sqllock/dialect"
)

// kind separates the locks of sessions from those of transactions, which share the server's one key
// space.
type kind string

const (
	sessionKind kind = "session"
	txKind      kind = "transaction"
)

// key returns the advisory-lock key of a name: the first 8 bytes of a SHA-256. So names are
// compared byte for byte, whatever the database's collation is.
func (k kind) key(name string) int64 {
	sum := sha256.Sum256([]byte("sqllock " + string(k) + "\x00" + name))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // all 64 bits are wanted, including the sign
}

// arrays returns the keys and the modes of locks as array literals.
func arrays(locks []dialect.ServerLock) (keys, shared string) {
	k, s := make([]string, len(locks)), make([]string, len(locks))
	for i, lock := range locks {
		k[i], s[i] = strconv.FormatInt(sessionKind.key(lock.Name), 10), strconv.FormatBool(lock.Shared)
	}
	return "{" + strings.Join(k, ",") + "}", "{" + strings.Join(s, ",") + "}"
}
