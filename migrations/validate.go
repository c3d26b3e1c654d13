package migrations

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sqllock/sqllock/dialect"
)

// Problem is something in a folder of migrations that is wrong, or probably not intended.
type Problem struct {
	File    string // the file's name; "." for the folder as a whole
	Message string // what is wrong with it
	Fatal   bool   // whether a run would refuse the folder; otherwise it is a warning
}

// Validate checks a folder of migrations, without a database, and returns the problems that it
// found, by file. It returns an error only if reading the folder fails.
func Validate(source fs.FS) ([]Problem, error) {
	entries, err := fs.ReadDir(source, ".")
	if err != nil {
		return nil, err
	}
	v := &validation{source: source, versions: map[uint]*File{}}
	for _, entry := range entries {
		if err := v.name(entry); err != nil {
			return nil, err
		}
	}
	v.pairs()
	if len(v.versions) == 0 {
		v.fatal(".", "there is no migration: no file is called like 0001_name.up.sql")
	}
	slices.SortStableFunc(v.problems, func(a, b Problem) int { return cmp.Compare(a.File, b.File) })
	return v.problems, nil
}

// validation is a folder that is being checked.
type validation struct {
	source   fs.FS
	versions map[uint]*File
	problems []Problem
}

func (v *validation) fatal(file, message string, args ...any) {
	v.problems = append(v.problems, Problem{File: file, Message: fmt.Sprintf(message, args...), Fatal: true})
}

func (v *validation) warn(file, message string, args ...any) {
	v.problems = append(v.problems, Problem{File: file, Message: fmt.Sprintf(message, args...)})
}

var nearlyAMigration = regexp.MustCompile(`(?i)^v?\d.*\.(sql|up|down)$|\.(up|down)\.\w+$`)

// name checks the name of one entry, and the text of the file if the name is that of a migration.
func (v *validation) name(entry fs.DirEntry) error {
	version, _, down, ok, err := ParseName(entry.Name())
	switch {
	case err != nil:
		v.fatal(entry.Name(), "%s", strings.TrimPrefix(err.Error(), dialect.ErrInvalid.Error()+": "))
		return nil
	case ok && entry.IsDir():
		v.warn(entry.Name(), "it is ignored, because it is a directory")
		return nil
	case !ok:
		if !entry.IsDir() && nearlyAMigration.MatchString(entry.Name()) {
			v.warn(entry.Name(), "it is ignored, because it isn't called like 0001_name.up.sql or "+
				"0001_name.down.sql")
		}
		return nil
	}
	if v.versions[version] == nil {
		v.versions[version] = &File{Version: version}
	}
	name := &v.versions[version].Up
	if down {
		name = &v.versions[version].Down
	}
	if *name != "" {
		v.fatal(entry.Name(), "%s is version %d, too: rename one of them", *name, version)
	}
	*name = entry.Name()
	text, err := fs.ReadFile(v.source, entry.Name())
	if err == nil {
		v.text(entry.Name(), text)
	}
	return err
}

// text checks for text that no server would understand.
func (v *validation) text(name string, text []byte) {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		v.fatal(name, "it is in UTF-16: save it as UTF-8")
	case bytes.HasPrefix(text, []byte("\ufeff")):
		v.warn(name, "it begins with a byte-order mark, which most servers take for part of the first statement: "+
			"save it without")
	case !utf8.Valid(text):
		v.warn(name, "it isn't UTF-8, from byte %d on: save it as UTF-8, unless the server's encoding is "+
			"meant", firstInvalid(text))
	case bytes.IndexByte(text, 0) >= 0:
		v.warn(name, "it has a zero byte, at which some servers end it")
	case len(bytes.TrimSpace(text)) == 0:
		v.warn(name, "it is empty, so it changes the version only")
	}
	if bytes.Contains(text, []byte("\n<<<<<<< ")) || bytes.HasPrefix(text, []byte("<<<<<<< ")) {
		v.fatal(name, "it has a merge conflict")
	}
}

func firstInvalid(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(text)
}

// pairs checks the two files of each version.
func (v *validation) pairs() {
	withDown := 0
	for _, f := range v.versions {
		if f.Down != "" {
			withDown++
		}
	}
	for _, f := range v.versions {
		switch {
		case f.Up == "":
			v.warn(f.Down, "there is no file that leads up to version %d, so up changes the version only", f.Version)
		case f.Down == "" && withDown > 0:
			v.warn(f.Up, "there is no file that takes version %d back, as others have, so down changes the "+
				"version only", f.Version)
		case f.Down != "" && identifier(f.Up) != identifier(f.Down):
			v.warn(f.Down, "it has another name than %s, which it takes back", f.Up)
		}
	}
}

// identifier returns the part of a file's name after the version.
func identifier(name string) string {
	_, identifier, _, _, _ := ParseName(name)
	return strings.ToLower(identifier)
}
