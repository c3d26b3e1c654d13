package servers

import (
	"os"
	"sync"
	"testing"
)

// Main runs the tests, stops the shared servers and ends the process with the tests' exit code. It is all that a
// TestMain needs.
func Main(m *testing.M) {
	code := m.Run()
	stopAll()
	os.Exit(code)
}

func stopAll() {
	var group sync.WaitGroup
	resolved.Lock()
	defer resolved.Unlock()
	for _, once := range resolved.by {
		group.Go(func() {
			if s, err := once(); err == nil && s.stop != nil {
				s.stop()
			}
		})
	}
	group.Wait()
	removeWorkDir()
}
