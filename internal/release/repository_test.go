package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A repository of two modules is published: what git ignores isn't, every module that requires them
// requires the new version, and each has a license.
func TestPublish(t *testing.T) {
	root, staged, proxy := t.TempDir(), t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.work": "go 1.26.0\n\nuse (\n\t.\n\t./part\n)\n\nreplace example.com/main/part v0.0.0 => ./part\n",
		"go.mod":  "module example.com/main\n\ngo 1.26.0\n\nrequire example.com/main/part v0.0.0\n",
		"main.go": "package main\n", "LICENSE": "all rights\n", ".gitignore": "junk\n", "junk": "junk\n",
		"part/go.mod":  "module example.com/main/part\n\ngo 1.26.0\n\nrequire example.com/other v1.0.0\n",
		"part/part.go": "package part\n",
		"go.sum":       "example.com/main/part v1.2.2 h1:old=\nexample.com/other v1.0.0 h1:kept=\n",
		"apart/go.mod": "module example.com/main/apart\n\ngo 1.26.0\n\nrequire example.com/main/part v1.2.2\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := open(root)
	if err != nil {
		t.Fatal(err)
	}
	r.version = "v1.2.3"
	if _, err := r.git("init", "--quiet"); err != nil {
		t.Fatal(err)
	}
	if err := r.stage(staged); err != nil {
		t.Fatal(err)
	}
	if err := r.publish(staged, proxy); err != nil {
		t.Fatal(err)
	}

	if got := contents(t, filepath.Join(proxy, "example.com", "main", "@v", "v1.2.3.zip")); !slices.Equal(got,
		[]string{".gitignore", "LICENSE", "go.mod", "go.sum", "go.work", "main.go"}) {
		t.Errorf("the main module has the files %v", got)
	}
	if got := contents(t, filepath.Join(proxy, "example.com", "main", "part", "@v", "v1.2.3.zip")); !slices.Equal(got,
		[]string{"LICENSE", "go.mod", "part.go"}) {
		t.Errorf("the other module has the files %v", got)
	}
	sums, err := os.ReadFile(filepath.Join(staged, "go.sum"))
	if err != nil || string(sums) != "example.com/other v1.0.0 h1:kept=\n" {
		t.Errorf("go.sum: %v; want no checksums of the last release:\n%s", err, sums)
	}
	published := filepath.Join(proxy, "example.com", "main")
	for path, want := range map[string]string{
		filepath.Join(staged, "apart", "go.mod"):             "example.com/main/part v1.2.3",
		filepath.Join(staged, "go.work"):                     "example.com/main/part v1.2.3 => ./part",
		filepath.Join(published, "@v", "v1.2.3.mod"):         "example.com/main/part v1.2.3",
		filepath.Join(published, "part", "@v", "v1.2.3.mod"): "example.com/other v1.0.0",
	} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v; want it to contain %q:\n%s", path, err, want, text)
		}
	}
	if got := r.tags(); !slices.Equal(got, []string{"part/v1.2.3", "v1.2.3"}) {
		t.Errorf("the tags are %v", got)
	}
}

// contents returns the names in the archive of a module, without the module's own.
func contents(t *testing.T, path string) (names []string) {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	for _, file := range archive.File {
		_, name, _ := strings.Cut(file.Name, "@v1.2.3/")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
