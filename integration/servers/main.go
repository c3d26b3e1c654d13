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
	resolved.Range(func(_, once any) bool {
		group.Go(func() {
			if s, err := once.(func() (*Server, error))(); err == nil && s.stop != nil {
				s.stop()
			}
		})
		return true
	})
	group.Wait()
	removeWorkDir()
}
