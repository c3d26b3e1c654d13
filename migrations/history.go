package migrations

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// How is the way in which a migration got into the history.
type How string

// The ways in which a migration gets into the history.
const (
	// HowRun means that a run of sqllock applied or undid the migration.
	HowRun How = "run"

	// HowFound means that another program, such as golang-migrate's own command, had applied or
	// undone the migration. sqllock saw that in the version table when its next run began. The
	// checksum is that of the file at that time.
	HowFound How = "found"

	// HowForced means that [Migrator.Force] declared the migration applied, or not applied.
	HowForced How = "forced"

	// HowRepaired means that [Migrator.Repair] declared the migration applied, or accepted its
	// changed file.
	HowRepaired How = "repaired"
)

// Record is a row of a database's history: one migration, applied or undone.
type Record struct {
	Version  uint          // the migration's version
	Name     string        // the name of its file; empty if there was none
	Down     bool          // whether it was undone
	How      How           // the way in which it got into the history
	Checksum string        // the file's [Checksum]; empty if there was no file
	At       time.Time     // the time by the database's clock
	Took     time.Duration // how long it took; zero if it wasn't run
	By       string        // the process's Options.Holder
}

// Checksum returns the checksum of a migration's text: its SHA-256 in hexadecimal digits. A line
// that ends in "\r\n" counts as one that ends in "\n", because Git's core.autocrlf writes the one
// or the other into a working tree, depending on the machine.
func Checksum(text []byte) string {
	sum := sha256.Sum256(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	return hex.EncodeToString(sum[:])
}

// checksums returns the checksums of the up files, by version.
func checksums(fsys fs.FS, files []File) (map[uint]string, error) {
	sums := map[uint]string{}
	for _, f := range files {
		if f.Up == "" {
			continue
		}
		text, err := fs.ReadFile(fsys, f.Up)
		if err != nil {
			return nil, err
		}
		sums[f.Version] = Checksum(text)
	}
	return sums, nil
}

// state is what is known of a database: which migrations are applied, and what the history says of
// each. The version table decides up to which version migrations are applied, because other
// programs change it too. The history adds which earlier migrations were skipped, when each was
// applied, and from which file.
type state struct {
	files   []File
	sums    map[uint]string // those of files
	at      int             // the version table's version; -1 means none
	dirty   bool
	applied map[uint]Record // by version

	// others are records that the history lacks, because another program has migrated the database
	// since the last record was written. They are already part of applied.
	others []Record
}

// newState compares the version table's version with the history. history is in the order in which
// it was written.
func newState(files []File, sums map[uint]string, at int, dirty bool, history []Record) *state {
	s := &state{files: files, sums: sums, at: at, dirty: dirty, applied: replay(history)}
	last := -1 // the version that the history leads to
	for v := range s.applied {
		last = max(last, int(v))
	}
	for _, v := range s.versions() {
		if int(v) > at {
			r := s.applied[v]
			undone := Record{Version: v, Name: r.Name, Down: true, How: HowFound, Checksum: r.Checksum}
			s.others = append(s.others, undone)
			delete(s.applied, v)
		}
	}
	for _, f := range files {
		v := int(f.Version)
		if _, known := s.applied[f.Version]; known || v <= last || v > at || v == at && dirty {
			continue
		}
		r := s.declared(f, HowFound)
		s.others = append(s.others, r)
		s.applied[f.Version] = r
	}
	return s
}

// replay returns the migrations that are applied according to a history, by version.
func replay(history []Record) map[uint]Record {
	applied := map[uint]Record{}
	for _, r := range history {
		before, is := applied[r.Version]
		switch {
		case r.Down:
			delete(applied, r.Version)
		case is && r.How == HowRepaired:
			before.Checksum = r.Checksum
			applied[r.Version] = before
		default:
			applied[r.Version] = r
		}
	}
	return applied
}

// declared returns the record of a migration that wasn't run.
func (s *state) declared(f File, how How) Record {
	return Record{Version: f.Version, Name: f.Name, How: how, Checksum: s.sums[f.Version]}
}

// versions returns the applied versions, the last one first.
func (s *state) versions() []uint {
	var list []uint
	for v := range s.applied {
		list = append(list, v)
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list
}

func (s *state) isApplied(f File) bool {
	_, is := s.applied[f.Version]
	return is
}

// isLate reports whether a migration wasn't applied although a later one was. A dirty version
// counts as neither applied nor late.
func (s *state) isLate(f File) bool {
	return int(f.Version) <= s.at && !s.isApplied(f) && (!s.dirty || int(f.Version) != s.at)
}

// isEdited reports whether the file of an applied migration was changed after it was applied. A
// file that was removed doesn't count as edited.
func (s *state) isEdited(f File) bool {
	r, is := s.applied[f.Version]
	return is && f.Up != "" && r.Checksum != s.sums[f.Version]
}

// late returns the migrations that weren't applied although a later one was.
func (s *state) late() []File { return s.which(s.isLate) }

func (s *state) which(is func(File) bool) (list []File) {
	for _, f := range s.files {
		if is(f) {
			list = append(list, f)
		}
	}
	return list
}

// repairs returns the records after which no migration is late or edited.
func (s *state) repairs() (list []Record) {
	for _, f := range s.which(func(f File) bool { return s.isLate(f) || s.isEdited(f) }) {
		list = append(list, s.declared(f, HowRepaired))
	}
	return list
}

// EditedError reports that files of applied migrations were changed after they were applied, so
// that a new database that is migrated with them would differ from this one. Nothing was changed.
type EditedError struct {
	Files []File // the changed files, by version
}

// Error names the files and says what to do.
func (e *EditedError) Error() string {
	return fmt.Sprintf("%s: changed after it was applied, so nothing was applied. Restore what was applied, and "+
		"make the change in a new migration. If the change is meant, accept the files as they are with "+
		"`sqllock-migrate repair`; while a migration is being written, `sqllock-migrate redo` takes it back and "+
		"applies it again", namesOf(e.Files))
}

// LateError reports that migrations weren't applied although a later one was. Usually they come
// from a branch that was merged late. Nothing was changed.
type LateError struct {
	Files   []File // the migrations that were not applied, by version
	Version int    // the version that the database is at
}

// Error names the files and says what to do.
func (e *LateError) Error() string {
	return fmt.Sprintf("%s: not applied, as far as the history says, though the database is at version %d, so "+
		"nothing was changed. Apply it with --allow-missing (Options.AllowMissing), or give it a version after "+
		"%[2]d; if the database has its changes already, record that with `sqllock-migrate repair`",
		namesOf(e.Files), e.Version)
}

// namesOf returns the names of the up files, or of the down files where there is no up file. It
// names ten files at most.
func namesOf(files []File) string {
	const most = 10
	var names []string
	for _, f := range files[:min(most, len(files))] {
		names = append(names, cmp.Or(f.Up, f.Down))
	}
	text := strings.Join(names, ", ")
	if len(files) > most {
		text += fmt.Sprintf(" and %d more", len(files)-most)
	}
	return text
}
