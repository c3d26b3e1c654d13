//go:build unix

package show

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// FreezeAt freezes the next process that tells something that begins so, with SIGSTOP, and answers that line. One that was hit in
// the middle of a write on SQLite, where it would bar everybody, is thawed, and the next one taken.
func (s *Show) FreezeAt(ctx context.Context, begins string) (Line, error) {
	for {
		l, err := s.Until(ctx, begins)
		if err != nil {
			return l, err
		}
		if err := Freeze(s.playing[l.Who].Process); err != nil {
			return l, err
		}
		if Writable(ctx, s.DB.DB) {
			s.Say(l.Who, "FROZEN with SIGSTOP")
			return l, nil
		}
		s.Say(l.Who, "was frozen in the middle of a write, which on SQLite bars everybody; once more")
		if err := s.Thaw(l.Who); err != nil {
			return l, err
		}
	}
}

// Thaw lets a frozen process go on.
func (s *Show) Thaw(name string) error { return s.playing[name].Process.Signal(syscall.SIGCONT) }

// Freeze stops a child of this process with SIGSTOP, and waits until all its threads stand still: until then one of them may
// still begin to write.
func Freeze(child *os.Process) error {
	if err := child.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(child.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("waiting until process %d is frozen: %w", child.Pid, err)
		case !status.Stopped():
			return fmt.Errorf("process %d ended before it could be frozen", child.Pid)
		default:
			return nil
		}
	}
}

// Writable tells whether anybody can write to the database now: on SQLite nobody can while a process is frozen in the middle of a
// write.
func Writable(ctx context.Context, db *sql.DB) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := db.ExecContext(ctx, "DELETE FROM sqllock_outcomes WHERE 1 = 0")
	return err == nil
}
