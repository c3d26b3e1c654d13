package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// CPU returns the CPU time that the server's running processes and threads have used so far.
// Processes and threads that have ended are not counted.
func (i *Instance) CPU() (time.Duration, error) {
	i.mu.Lock()
	first := i.local.process.cmd.Process.Pid
	i.mu.Unlock()
	var used time.Duration
	for _, pid := range append(children(first), first) {
		paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // nanoseconds, where stat has ticks
		if err != nil {
			return 0, err
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // it has just ended
			}
			var on int64
			if _, err := fmt.Sscan(string(text), &on); err != nil {
				return 0, fmt.Errorf("%s: %w", path, err)
			}
			used += time.Duration(on)
		}
	}
	return used, nil
}
