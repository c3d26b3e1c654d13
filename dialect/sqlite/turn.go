package sqlite

import "context"

// line is where the writers of one Dialect queue, first come first served. SQLite has one writer at a time, and those
// who wait for it stand in no order: each asks again and again, with longer and longer pauses, so that of eight
// goroutines one may be unlucky for longer than five seconds. From here only the head of the line competes, with the
// application's own transactions and with other processes. Heartbeats don't queue: they must not wait behind a crowd.
type line chan struct{}

// inTurn runs f when it is the caller's turn.
func inTurn[T any](ctx context.Context, l line, f func() (T, error)) (answer T, err error) {
	select {
	case l <- struct{}{}:
		defer func() { <-l }()
		return f()
	case <-ctx.Done():
		return answer, &notBegunError{ctx.Err()}
	}
}

// notBegunError is Transient: ctx ended in the line, and nothing was asked of the database.
type notBegunError struct{ err error }

func (e *notBegunError) Error() string {
	return "waiting for other writers of this process: " + e.err.Error()
}

func (e *notBegunError) Unwrap() error { return e.err }
