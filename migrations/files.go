package migrations

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"github.com/golang-migrate/migrate/v4/source"
)

// File is one version's migration. Up or Down, the names of its files, are empty where there is none: that way then
// changes the version only.
type File struct {
	Version  uint   // the number that the files' names begin with
	Name     string // what comes after it
	Up, Down string
}

// load lists the migrations in a folder, by version. Files that aren't called like migrations are passed over, as
// golang-migrate does.
func load(fsys fs.FS) ([]File, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	byVersion := map[uint]File{}
	for _, entry := range entries {
		parsed, err := source.Parse(entry.Name())
		if entry.IsDir() || err != nil {
			continue
		}
		f := byVersion[parsed.Version]
		f.Version, f.Name = parsed.Version, parsed.Identifier
		name := &f.Up
		if parsed.Direction == source.Down {
			name = &f.Down
		}
		if *name != "" {
			return nil, fmt.Errorf("%s and %s are both version %d: rename one of them", *name, parsed.Raw, parsed.Version)
		}
		*name = parsed.Raw
		byVersion[f.Version] = f
	}
	if len(byVersion) == 0 {
		return nil, fmt.Errorf("there is no migration: no file is called like 0001_name.up.sql: %w", fs.ErrNotExist)
	}
	files := make([]File, 0, len(byVersion))
	for _, f := range byVersion {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Version, b.Version) })
	return files, nil
}

// index is where version stands in files: -1 for none applied. False: it isn't there.
func index(files []File, version int) (int, bool) {
	if version < 0 {
		return -1, true
	}
	return slices.BinarySearchFunc(files, uint(version), func(f File, v uint) int { return cmp.Compare(f.Version, v) })
}
