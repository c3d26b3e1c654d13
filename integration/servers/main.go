package servers

import (
	"os"
	"sync"
	"testing"
)

// Main runs the tests, stops the shared servers, calls the functions in afterwards, and ends the
// process with the tests' exit code. A TestMain needs nothing else.
func Main(m *testing.M, afterwards ...func()) {
	code := m.Run()
	stopAll()
	for _, f := range afterwards {
		f()
	}
	os.Exit(code)
}

func stopAll() {
	var group sync.WaitGroup
	resolved.Lock()
	defer resolved.Unlock()
	for _, once := range resolved.by {
		group.Go(func() {
			if s, err := once(); err == nil {
				s.end()
			}
		})
	}
	group.Wait()
	removeWorkDir()
}
