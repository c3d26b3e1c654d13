package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every mutant can still be made of the core as it is now, and so can the simulator's own edits. A
// text that is replaced and occurs never, or twice, would leave a bug unsimulated.
func TestMutantsApply(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, m := range append(slices.Clone(mutants), mutant{name: "none"}) {
		empty := len(m.edits) == 0 && m.name != "none"
		if slices.Contains(names, m.name) || strings.ContainsAny(m.name, " |") || empty {
			t.Errorf("mutant %q: its name is there twice or hard to type, or it is none", m.name)
		}
		names = append(names, m.name)
		dir := t.TempDir()
		if _, err := write(root, dir, slices.Concat(m.edits, seeding)); err != nil {
			t.Errorf("mutant %s: %v", m.name, err)
			continue
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if _, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution); err != nil {
				t.Errorf("mutant %s: %v", m.name, err)
			}
		}
	}
}

// An edit that doesn't fit any more is refused.
func TestEditMustFit(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("twice twice once"), 0o600); err != nil {
		t.Fatal(err)
	}
	for from, fits := range map[string]bool{"once": true, "twice": false, "never": false} {
		_, err := write(root, t.TempDir(), []edit{{"a.go", from, ""}})
		if (err == nil) != fits {
			t.Errorf("replacing %q: %v", from, err)
		}
	}
}
