package servers

import (
	"os/exec"
	"testing"
)

// Chromium returns the path of a Chromium browser. If there is none, the test is skipped, or fails
// if SQLLOCK_TEST_REQUIRE names chromium.
func Chromium(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		Missing(t, "chromium", err)
	}
	return path
}
