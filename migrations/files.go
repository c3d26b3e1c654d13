package migrations

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"

	"github.com/sqllock/sqllock/dialect"
)

// File is the migration of one version. Up and Down are the names of its files. If one of them is
// empty, migrating in that direction changes only the version.
type File struct {
	Version  uint   // the number at the beginning of the files' names
	Name     string // the part after the number; in a [Step] that of the applied file
	Up, Down string
}

// MaxVersion is the greatest version that a migration can have. Version tables can't hold a greater
// one.
const MaxVersion = math.MaxInt

// ParseName splits the name of a migration's file, as golang-migrate does. ok reports whether name
// is the name of a migration. ParseName returns an error, which wraps [dialect.ErrInvalid], for
// names that golang-migrate would ignore or run by mistake: a version that no version table can
// hold, and a backup copy, such as 2_b.up.sql~.
func ParseName(name string) (version uint, identifier string, down, ok bool, err error) {
	parts := source.Regex.FindStringSubmatch(name)
	if parts == nil {
		return 0, "", false, false, nil
	}
	v, err := strconv.ParseUint(parts[1], 10, 64)
	switch {
	case err != nil, v > MaxVersion:
		return 0, "", false, false, fmt.Errorf("%w: the version of %s is too great: rename it, the greatest is %d",
			dialect.ErrInvalid, name, MaxVersion)
	case isBackup(parts[4]):
		return 0, "", false, false, fmt.Errorf("%w: %s looks like a copy of a migration, and golang-migrate would "+
			"run it as version %d: remove it, or give it a name that ends in .sql", dialect.ErrInvalid, name, v)
	}
	return uint(v), parts[2], parts[3] == string(source.Down), true, nil
}

var (
	plainExtension  = regexp.MustCompile(`^[\w-]*$`)
	backupExtension = regexp.MustCompile(`(?i)^(bak|backup|copy|old|orig|rej|save|swp|swo|te?mp)$`)
)

// isBackup reports whether extension, the part of a file's name after .up. or .down., is that of a
// backup copy, such as sql~, sql.orig or bak. Any other word is a valid extension.
func isBackup(extension string) bool {
	all := strings.Split(extension, ".")
	last := all[len(all)-1]
	return len(all) > 1 && !strings.EqualFold(last, "sql") ||
		!plainExtension.MatchString(last) || backupExtension.MatchString(last)
}

// load lists the migrations in a folder, by version. Like golang-migrate it ignores files whose
// names aren't those of migrations.
func load(fsys fs.FS) ([]File, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	byVersion := map[uint]File{}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		version, identifier, isDown, ok, err := ParseName(entry.Name())
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		f := byVersion[version]
		f.Version = version
		name := &f.Up
		if isDown {
			name = &f.Down
		}
		if *name != "" {
			return nil, fmt.Errorf("%w: %s and %s are both version %d: rename one of "+
				"them", dialect.ErrInvalid, *name, entry.Name(), version)
		}
		*name = entry.Name()
		if !isDown || f.Up == "" {
			f.Name = identifier
		}
		byVersion[version] = f
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

// source returns the name of the file for a direction; it is empty if there is none.
func (f File) source(down bool) string {
	if down {
		return f.Down
	}
	return f.Up
}

// index returns the position of version in files, or -1 for a version below 0. It reports false if
// files doesn't contain version.
func index(files []File, version int) (int, bool) {
	if version < 0 {
		return -1, true
	}
	return slices.BinarySearchFunc(files, uint(version), func(f File, v uint) int { return cmp.Compare(f.Version, v) })
}
