package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
)

const defaultFormat = "20060102150405"

// newFiles holds the options of create.
type newFiles struct {
	ext, dir, format, zone string
	seq                    bool
	digits                 int

	skipped []string // marker files of versions that another create has reserved
}

func (a *app) create() *cobra.Command {
	var n newFiles
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create the empty up and down files of a new migration of your application",
		Args:  cli.Arguments(1, 1, "a NAME for the migration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.result.Command = cmd.Name()
			if n.seq && cmd.Flags().Changed("format") {
				return cli.Usagef("--seq and --format exclude each other")
			}
			if !cmd.Flags().Changed("dir") && a.hasSource() {
				folder, err := a.folder()
				if err != nil {
					return err
				}
				n.dir = folder
			}
			files, err := n.create(args[0], time.Now())
			a.result.Files = files
			for _, path := range n.skipped {
				a.say("skipped the version of %s, which another create has reserved; remove that file if none is "+
					"running", path)
			}
			for _, file := range files {
				if err := a.print(file); err != nil {
					return err
				}
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&n.ext, "ext", "sql", "file extension")
	flags.StringVar(&n.dir, "dir", ".",
		"`directory` for the files, created if it is missing; by default that of --source")
	flags.StringVar(&n.format, "format", defaultFormat, "the version, as a Go time format, or unix, or unixNano")
	flags.StringVar(&n.zone, "tz", "UTC", "time zone of the version")
	flags.BoolVar(&n.seq, "seq", false, "use the next number as the version, not the time")
	flags.IntVar(&n.digits, "digits", 6, "number of digits with --seq")
	return cmd
}

// create creates both files and returns the absolute paths of those that it created.
func (n *newFiles) create(name string, now time.Time) (made []string, err error) {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return nil, cli.Usagef("NAME is %q: want a word for what the migration does, which becomes part of the files' "+
			"names", name)
	}
	ext := strings.TrimPrefix(n.ext, ".")
	if ext == "" {
		return nil, cli.Usagef("--ext is empty: want a file extension, such as sql")
	}
	if _, _, _, ok, err := migrations.ParseName("1_" + name + ".up." + ext); !ok || err != nil {
		return nil, cli.Usagef("--ext %s: want a file extension that migrations have, such as sql", n.ext)
	}
	version, release, err := n.reserve(now)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	for _, direction := range []string{"up", "down"} {
		path, err := filepath.Abs(filepath.Join(n.dir, version+"_"+name+"."+direction+"."+ext))
		if err != nil {
			return made, err
		}
		if err := createNew(path); err != nil {
			return made, err
		}
		made = append(made, path)
	}
	return made, nil
}

// reserve returns a version that no migration in the directory has, and that no other process can
// get while it creates files at the same time: a marker file reserves the version until release.
// The directory is created if it is missing.
func (n *newFiles) reserve(now time.Time) (version string, release func() error, err error) {
	taken, err := n.versions()
	if err != nil {
		return "", nil, err
	}
	for {
		version, number, err := n.version(now, taken)
		if err != nil {
			return "", nil, err
		}
		if err := os.MkdirAll(n.dir, 0o777); err != nil { //nolint:gosec // source code: the umask decides
			return "", nil, err
		}
		path := filepath.Join(n.dir, fmt.Sprintf(".%d.new", number))
		err = createNew(path)
		if errors.Is(err, fs.ErrExist) {
			taken = append(taken, number)
			n.skipped = append(n.skipped, path)
			continue
		}
		if err != nil {
			return "", nil, err
		}
		release := func() error { return os.Remove(path) }
		// The previous owner of the marker file may have created its files since we listed them.
		if taken, err = n.versions(); err != nil || slices.Contains(taken, number) {
			if err := errors.Join(err, release()); err != nil {
				return "", nil, err
			}
			continue
		}
		return version, release, nil
	}
}

// createNew creates an empty file. It fails if the file exists.
func createNew(path string) error {
	//nolint:gosec // source code: the umask decides
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	return file.Close()
}

// versions returns the versions of the migrations in the directory.
func (n *newFiles) versions() ([]uint64, error) {
	entries, err := os.ReadDir(n.dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var taken []uint64
	for _, entry := range entries {
		version, _, _, ok, err := migrations.ParseName(entry.Name())
		if err != nil {
			return nil, err
		}
		if ok {
			taken = append(taken, uint64(version))
		}
	}
	return taken, nil
}

// version returns a version for the new migration that is not in taken.
func (n *newFiles) version(now time.Time, taken []uint64) (text string, number uint64, err error) {
	if n.seq {
		return n.next(taken)
	}
	zone, err := time.LoadLocation(n.zone)
	if err != nil {
		return "", 0, cli.Usagef("--tz %s: %v", n.zone, err)
	}
	switch n.format {
	case "unix":
		text = strconv.FormatInt(now.Unix(), 10)
	case "unixNano":
		text = strconv.FormatInt(now.UnixNano(), 10)
	default:
		text = now.In(zone).Format(n.format)
	}
	number, err = strconv.ParseUint(text, 10, 64)
	if err != nil || number > migrations.MaxVersion {
		return "", 0, cli.Usagef("--format %q makes the version %q: it must be a number up to %d",
			n.format, text, migrations.MaxVersion)
	}
	if slices.Contains(taken, number) {
		return "", 0, fmt.Errorf("duplicate migration version: %s: wait for the next one, or use --seq", text)
	}
	return text, number, nil
}

// next returns the number after the greatest.
func (n *newFiles) next(taken []uint64) (text string, number uint64, err error) {
	if n.digits <= 0 {
		return "", 0, cli.Usagef("--digits is %d: want 1 or more", n.digits)
	}
	number = 1
	if len(taken) > 0 {
		number = slices.Max(taken) + 1
	}
	text = fmt.Sprintf("%0*d", n.digits, number)
	switch {
	case number > migrations.MaxVersion:
		return "", 0, fmt.Errorf("the greatest version that there can be, %d, is taken", migrations.MaxVersion)
	case len(text) > n.digits:
		return "", 0, fmt.Errorf("the next version, %s, has more than %d digits: give more with --digits",
			text, n.digits)
	}
	return text, number, nil
}
