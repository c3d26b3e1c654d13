package migrations

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultStopTimeout is how long a migration may continue after ctx has ended, unless
// Options.StopTimeout says otherwise.
const DefaultStopTimeout = 5 * time.Second

// What follows is bounded too, so that a run always ends.
const (
	tidyTimeout    = 3 * time.Second // for the server to respond, and to undo, record and unlock
	abandonTimeout = time.Second     // for calls that return late
)

// stop holds the contexts with which a run ends after the caller's context, asked, has ended. The
// migration under way may continue until work ends; then its statement is canceled. Undoing,
// recording and unlocking may take until tidy ends. The run doesn't wait beyond gone.
type stop struct {
	asked, work, tidy, gone context.Context
}

// newStop returns a stop for ctx, and a function that releases its resources after the run.
func newStop(ctx context.Context, timeout time.Duration) (s *stop, done func()) {
	s = &stop{asked: ctx}
	var ends [3]func()
	s.work, ends[0] = after(ctx, timeout)
	s.tidy, ends[1] = after(s.work, tidyTimeout)
	s.gone, ends[2] = after(s.tidy, abandonTimeout)
	return s, func() {
		for _, end := range ends {
			end()
		}
	}
}

// after returns a context that ends d after ctx does, for the same cause.
func after(ctx context.Context, d time.Duration) (_ context.Context, done func()) {
	later, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(ctx))
		case <-later.Done():
		}
	})
	return later, func() {
		stop()
		cancel(errors.New("the run has ended"))
	}
}

// locked calls f while it holds the lock. It returns in time even if f doesn't. In that case f is
// left to its goroutine, which can't send anything any more, and locked returns the error of
// abandoned.
func (m *Migrator) locked(ctx context.Context, f func(s session) error, abandoned func() error) error {
	s, done := newStop(ctx, m.options.StopTimeout)
	finished := make(chan error, 1)
	go func() {
		defer done()
		finished <- m.target.locked(s, m.options, f)
	}()
	select {
	case err := <-finished:
		return err
	case <-s.gone.Done():
	}
	select {
	case err := <-finished:
		return err
	default:
		return abandoned()
	}
}

// silent returns the error for a database that hasn't responded by the time that a run must end.
func silent(ctx context.Context) error {
	return fmt.Errorf("the database didn't answer, so it isn't known what it has done: %w", ended(ctx))
}
