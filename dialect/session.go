package dialect

import (
	"context"
	"time"
)

// SessionLocker is the power to take locks that the server holds for a connection and lets go by itself when that
// ends: advisory locks, GET_LOCK, sp_getapplock. They need no table. Their names have nothing to do with those of
// lease locks, nor with those of TxLocker.
type SessionLocker interface {
	// OpenSession opens a connection that is the caller's alone, never one of the application's pool, and makes sure
	// that it is a session: that the server (or what stands before it) keeps it the same from one statement to the
	// next, that its locks are the whole database's, and that they are not a replica's own. Where that can't be had
	// the error wraps ErrUnsupported, says why, and what to use instead. It blocks until the server answers or ctx ends.
	OpenSession(ctx context.Context, options SessionOptions) (Session, error)
}

// SessionOptions are the wishes for a session.
type SessionOptions struct {
	// Holder is who, for people. An engine shows it where it can: application_name on PostgreSQL.
	Holder string

	// Idle is how long the server should keep the session when it hears nothing: its holder may be frozen or cut
	// off. An engine rounds it up to what the server can, and leaves it where the server has no such setting.
	Idle time.Duration
}

// Session is one connection, and the locks that the server holds for it. Its methods are not for concurrent use, with
// one exception: Close may be called at any time, and ends a call that is under way. Each call blocks until the server
// answers or ctx ends, and after an error the locks it named may be held or not. A ctx that ends may end the session.
type Session interface {
	// TryLock takes each lock that is free, and doesn't wait for the others: false. The caller doesn't ask for what
	// the session holds already: servers differ in what they make of that. A shared lock where the engine has none is
	// an error that wraps ErrUnsupported.
	TryLock(ctx context.Context, locks []ServerLock) ([]bool, error)

	// Unlock lets go of each lock. False: the session didn't hold it, and so is not what it was.
	Unlock(ctx context.Context, locks []ServerLock) ([]bool, error)

	// HeldBy tells for people who holds each of the locks, as far as the server lets that be seen.
	HeldBy(ctx context.Context, locks []ServerLock) ([]SessionHolder, error)

	// Ping is an error unless the connection works and is still the same session of the same server.
	Ping(ctx context.Context) error

	// Close ends the connection, and so lets go of all its locks. It doesn't wait for a server that is silent.
	Close() error
}

// ServerLock names a lock that the server holds.
type ServerLock struct {
	Name   string // 1 to 255 bytes, compared byte for byte
	Shared bool   // with others who say so, too
}

// SessionHolder is who holds a server's lock, as it was seen: for people, never for deciding.
type SessionHolder struct {
	Holder string    // "app-1 (pid 4711, 10.0.0.7)"; empty: nobody, or it can't be seen
	Since  time.Time // when the connection was made, by the database's clock; zero if unknown
}
