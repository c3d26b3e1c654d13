package dialect

import (
	"context"
	"time"
)

// SessionLocker is implemented by an engine whose server holds locks for a connection, and releases
// them by itself when the connection ends: advisory locks, GET_LOCK, sp_getapplock. They need no
// table. Their names are independent of those of lease locks and of those of [TxLocker].
type SessionLocker interface {
	// OpenSession opens a connection that is the caller's alone, never one of the application's
	// pool. It verifies that the connection is a session:
	//
	//   - The server, or whatever stands in front of it, keeps the session the same from one
	//     statement to the next.
	//   - Its locks apply to the whole database.
	//   - Its locks are not a replica's own.
	//
	// If any of this isn't the case, the error wraps [ErrUnsupported], gives the reason and names
	// an alternative. OpenSession blocks until the server replies or ctx ends.
	OpenSession(ctx context.Context, options SessionOptions) (Session, error)
}

// SessionOptions are the options for a session.
type SessionOptions struct {
	// Holder names the holder, for people. An engine shows it where it can: as application_name on
	// PostgreSQL.
	Holder string

	// Idle is how long the server should keep a session from which it receives nothing, because the
	// session's holder may be frozen or cut off. An engine rounds it up to what the server
	// supports, and ignores it where the server has no such setting.
	Idle time.Duration
}

// Session is one connection and the locks that the server holds for it. Its methods are not safe
// for concurrent use, except Close, which may be called at any time and ends a call in progress.
// Each call blocks until the server replies or ctx ends. After an error the locks that the call
// named may or may not be held. The end of a ctx may end the session.
type Session interface {
	// TryLock takes each lock that is free, and returns false for the others without waiting. The
	// caller doesn't request a lock that the session already holds, since servers differ in how
	// they treat that. For a shared lock on an engine without shared locks, the error wraps
	// [ErrUnsupported].
	TryLock(ctx context.Context, locks []ServerLock) ([]bool, error)

	// Unlock releases each lock. A result of false means that the session didn't hold the lock, so
	// it is no longer the session that took it.
	Unlock(ctx context.Context, locks []ServerLock) ([]bool, error)

	// HeldBy returns, for people, the holder of each of the locks, as far as the server shows it.
	HeldBy(ctx context.Context, locks []ServerLock) ([]SessionHolder, error)

	// Ping returns an error unless the connection works and is still the same session of the same
	// server.
	Ping(ctx context.Context) error

	// Close ends the connection, which releases all its locks. It doesn't wait for an unresponsive
	// server.
	Close() error
}

// ServerLock names a lock that the server holds.
type ServerLock struct {
	Name   string // 1 to 255 bytes, compared byte for byte
	Shared bool   // held together with other shared holders
}

// SessionHolder is the holder of a server's lock, as it was read: for people, never to decide.
type SessionHolder struct {
	Holder string    // "app-1 (pid 4711, 10.0.0.7)"; empty if there is none or it can't be seen
	Since  time.Time // when the connection was made, by the database's clock; zero if unknown
}
