package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes the files of a module, and returns its folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.com/m\n\ngo 1.26.0\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	return dir
}

func TestCross(t *testing.T) {
	dir := write(t, map[string]string{
		"m.go":      "package m\n\nimport \"io\"\n\nfunc F() (io.Reader, int) { return nil, system }\n",
		"unix.go":   "//go:build unix\n\npackage m\n\nimport \"syscall\"\n\nconst system = int(syscall.SIGSTOP)\n",
		"other.go":  "//go:build !unix\n\npackage m\n\nconst system = 0\n",
		"m_test.go": "package m\n\nfunc g() { F() }\n",
		"x_test.go": "package m_test\n\nimport \"example.com/m\"\n\nvar _, _ = m.F()\n",
	})
	if err := run(dir, []string{"./..."}); err != nil {
		t.Error(err)
	}
}

// TestFinds has errors that are only seen on some of the platforms.
func TestFinds(t *testing.T) {
	dir := write(t, map[string]string{
		"a/a_windows.go":     "package a\n\nimport \"syscall\"\n\nvar _ = syscall.SIGSTOP\n",
		"b/b_arm64.go":       "package b\n\nfunc f() { undefined() }\n",
		"b/b.go":             "package b\n",
		"c/c.go":             "package c\n",
		"c/c_darwin_test.go": "package c\n\nvar _ int = \"\"\n",
		"d/d.go":             "package d\n\nvar _ = e\n",
		"d/e_linux.go":       "package d\n\nvar e int\n",
		"f/f_freebsd.go":     "package f\n\nimport _ \"example.com/m/missing\"\n",
		"f/f.go":             "package f\n",
	})
	err := run(dir, []string{"./..."})
	if err == nil {
		t.Fatal("no error is found")
	}
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, want := range []string{
		"windows/amd64: " + at("a/a_windows.go") + ":5:17: undefined: syscall.SIGSTOP",
		"linux/arm64: " + at("b/b_arm64.go") + ":3:12: undefined: undefined",
		"darwin/arm64: " + at("c/c_darwin_test.go") + ":3:13: cannot use",
		"freebsd/amd64: " + at("d/d.go") + ":3:9: undefined: e",
		"freebsd/amd64: ",
		"example.com/m/missing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no error like %q in:\n%v", want, err)
		}
	}
	for line := range strings.Lines(err.Error()) {
		if strings.HasPrefix(line, "linux/amd64: ") {
			t.Errorf("linux/amd64 compiles, but: %s", line)
		}
	}
}
