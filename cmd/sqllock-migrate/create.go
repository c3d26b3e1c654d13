package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/source"
	"github.com/spf13/cobra"
)

const defaultFormat = "20060102150405"

// newFiles is what create was asked for.
type newFiles struct {
	ext, dir, format, zone string
	seq                    bool
	digits                 int
}

func (a *app) create() *cobra.Command {
	var n newFiles
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make the empty up and down files of a new migration of yours",
		Args:  argument(1, 1, "a NAME for the migration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.result.Command = cmd.Name()
			if n.seq && cmd.Flags().Changed("format") {
				return usagef("--seq and --format exclude each other")
			}
			if !cmd.Flags().Changed("dir") && !a.own() {
				folder, err := a.folder()
				if err != nil {
					return err
				}
				n.dir = folder
			}
			files, err := n.create(args[0], time.Now())
			a.result.Files = files
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
	flags.StringVar(&n.dir, "dir", ".", "`directory` to make them in, made if it isn't there; else that of --source")
	flags.StringVar(&n.format, "format", defaultFormat, "the version, as a Go time format, or unix, or unixNano")
	flags.StringVar(&n.zone, "tz", "UTC", "time zone of the version")
	flags.BoolVar(&n.seq, "seq", false, "take the next number for version, and not the time")
	flags.IntVar(&n.digits, "digits", 6, "digits of that number")
	return cmd
}

// create makes both files, and answers the absolute paths of those that it made.
func (n *newFiles) create(name string, now time.Time) (made []string, err error) {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return nil, usagef("NAME is %q: want a word for what the migration does, which becomes part of the files' names", name)
	}
	ext := strings.TrimPrefix(n.ext, ".")
	if ext == "" {
		return nil, usagef("--ext is empty: want a file extension, sql say")
	}
	taken, err := n.versions()
	if err != nil {
		return nil, err
	}
	version, err := n.version(now, taken)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(n.dir, 0o777); err != nil { //nolint:gosec // source code, like any: the umask decides
		return nil, err
	}
	for _, direction := range []string{"up", "down"} {
		path, err := filepath.Abs(filepath.Join(n.dir, version+"_"+name+"."+direction+"."+ext))
		if err != nil {
			return made, err
		}
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // the same
		if err != nil {
			return made, err
		}
		if err := file.Close(); err != nil {
			return made, err
		}
		made = append(made, path)
	}
	return made, nil
}

// versions are those that migrations in the directory have, in order.
func (n *newFiles) versions() ([]uint64, error) {
	entries, err := os.ReadDir(n.dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var taken []uint64
	for _, entry := range entries {
		if m, err := source.Parse(entry.Name()); err == nil {
			taken = append(taken, uint64(m.Version))
		}
	}
	slices.Sort(taken)
	return taken, nil
}

// version is the new migration's, which no other has.
func (n *newFiles) version(now time.Time, taken []uint64) (string, error) {
	if n.seq {
		return n.next(taken)
	}
	zone, err := time.LoadLocation(n.zone)
	if err != nil {
		return "", usagef("--tz %s: %v", n.zone, err)
	}
	var version string
	switch n.format {
	case "unix":
		version = strconv.FormatInt(now.Unix(), 10)
	case "unixNano":
		version = strconv.FormatInt(now.UnixNano(), 10)
	default:
		version = now.In(zone).Format(n.format)
	}
	number, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return "", usagef("--format %q makes the version %q: it must be a number", n.format, version)
	}
	if slices.Contains(taken, number) {
		return "", fmt.Errorf("duplicate migration version: %s: wait for the next one, or take --seq", version)
	}
	return version, nil
}

// next is the number after the greatest.
func (n *newFiles) next(taken []uint64) (string, error) {
	if n.digits <= 0 {
		return "", usagef("--digits is %d: want 1 or more", n.digits)
	}
	number := uint64(1)
	if len(taken) > 0 {
		number = taken[len(taken)-1] + 1
	}
	version := fmt.Sprintf("%0*d", n.digits, number)
	if number == 0 || len(version) > n.digits {
		return "", fmt.Errorf("the next version, %s, has more than %d digits: give more with --digits", version, n.digits)
	}
	return version, nil
}
