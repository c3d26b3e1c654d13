package documented

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile(`\bTest[A-Z]\w+`)

// TestPracticesNameTestsThatExist checks that the tests named in PRACTICES.md exist.
func TestPracticesNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "PRACTICES.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := testName.FindAllString(string(page), -1)
	if len(names) < 40 {
		t.Errorf("found %d tests named on the page; there are more, so the search is broken", len(names))
	}
	for _, folder := range []string{
		"sqllock", "sqllock/election", "sqllock/once", "sqllock/quorum", "sqllock/internal/clock", "integration",
	} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", folder, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			kept := names[:0]
			for _, name := range names {
				if !strings.Contains(string(src), "func "+name+"(t *testing.T)") {
					kept = append(kept, name)
				}
			}
			names = kept
		}
	}
	for _, name := range names {
		t.Errorf("PRACTICES.md names %s, which doesn't exist", name)
	}
}
