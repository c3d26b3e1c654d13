package servers

import (
	"path/filepath"
	"testing"
)

// sqliteURL names a file that doesn't exist yet, in a directory that the test removes.
func sqliteURL(t testing.TB) string {
	t.Helper()
	return "sqlite://" + filepath.ToSlash(filepath.Join(t.TempDir(), "test.db"))
}
