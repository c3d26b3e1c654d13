package documented

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile(`\bTest[A-Z]\w+`)

// TestPagesNameTestsThatExist checks that the tests named in PRACTICES.md and in the pages for
// users exist.
func TestPagesNameTestsThatExist(t *testing.T) {
	named := make(map[string]string) // the page that names a test
	for _, p := range all(t) {
		if p.Path == "PRACTICES.md" || len(Guide([]Page{p})) == 1 {
			for _, name := range testName.FindAllString(p.Text, -1) {
				named[name] = p.Path
			}
		}
	}
	if len(named) < 40 {
		t.Errorf("found %d tests named on the pages; there are more, so the search is broken", len(named))
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
			for name := range named {
				if strings.Contains(string(src), "func "+name+"(t *testing.T)") {
					delete(named, name)
				}
			}
		}
	}
	for name, page := range named {
		t.Errorf("%s names %s, which doesn't exist", page, name)
	}
}
