//go:build unix

package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// FreezeAt waits for a line of output that begins with prefix, freezes its process with SIGSTOP,
// and returns the line. If that froze the process in the middle of a write on SQLite, where it
// would block all other processes, FreezeAt thaws it and waits for the next such line.
func (s *Demo) FreezeAt(ctx context.Context, prefix string) (Line, error) {
	for {
		l, err := s.Until(ctx, prefix)
		if err != nil {
			return l, err
		}
		if err := Freeze(s.running[l.Name].Process); err != nil {
			return l, err
		}
		if Writable(ctx, s.DB.DB) {
			s.Say(l.Name, "FROZEN with SIGSTOP")
			return l, nil
		}
		s.Say(l.Name, "was frozen in the middle of a write, which blocks all others on SQLite; once more")
		if err := s.Thaw(l.Name); err != nil {
			return l, err
		}
	}
}

// Thaw continues a frozen process.
func (s *Demo) Thaw(name string) error { return s.running[name].Process.Signal(syscall.SIGCONT) }

// Freeze stops a child of this process with SIGSTOP, and waits until all its threads have stopped.
// Before that one of them may still begin a write.
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

// Writable reports whether the database can be written now. On SQLite it can't while a process is
// frozen in the middle of a write.
func Writable(ctx context.Context, db *sql.DB) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := db.ExecContext(ctx, "DELETE FROM sqllock_outcomes WHERE 1 = 0")
	return err == nil
}
