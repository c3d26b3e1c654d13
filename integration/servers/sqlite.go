package servers

import (
	"path/filepath"
	"testing"
)

// sqliteURL returns the URL of a file that doesn't exist yet, in a directory that is removed when
// the test ends.
func sqliteURL(t testing.TB) string {
	t.Helper()
	return "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "test.db"))
}
