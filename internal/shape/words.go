package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// retired matches words that the code once used and that a newcomer had to decode. The glossary in
// ARCHITECTURE.md has the words that replaced them. Words that are also used here in their ordinary
// meaning (line, place, offer) aren't in the list.
var retired = regexp.MustCompile(`(?i)^(` +
	`wish(es|ed)?|vigils?|seats?|seated|astray|deaf(ened)?|heirs?|tenures?|era|insists?|` +
	`orphan(s|ed)?|outlived|burial|bury|buries|buried|surrender|ballots?|tally|outvoted|` +
	`charter|enrol(s|led)?|errands?|glances?|throng(ed)?|wakers?|crew|deeds?|chronicle|unsure|` +
	`goodbye|patience|nap|loans?|borrow(ed)?|overdue|whoever)$`)

var word = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+`)

// mustRetired returns the places of all retired words, as file:line: word.
func mustRetired() (places []string) {
	err := eachFile(func(path string) error {
		switch {
		case strings.HasPrefix(path, filepath.Join("internal", "shape")), path == "CHANGELOG.md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			for _, w := range word.FindAllString(line, -1) {
				if retired.MatchString(w) {
					places = append(places, fmt.Sprintf("%s:%d: %s", path, n, w))
				}
			}
		}
		return nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "shape:", err)
		os.Exit(2)
	}
	return places
}

// eachFile calls f with each file that is written by hand: code, statements and pages.
func eachFile(f func(path string) error) error {
	return filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name := entry.Name(); name != "." && strings.HasPrefix(name, ".") || name == "testdata" ||
				name == "build" {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".sql", ".md":
			return f(path)
		}
		return nil
	})
}
