package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
)

const defaultLockTimeout = 15 * time.Second

// lockTimeout is a flag whose value is a number of seconds, as in golang-migrate, or a duration.
type lockTimeout = cli.Duration

// lockTTL is a flag with the same syntax as lockTimeout.
type lockTTL struct{ lockTimeout }

func (t *lockTTL) Set(text string) error {
	if err := t.lockTimeout.Set(text); err != nil {
		return err
	}
	if d := time.Duration(t.lockTimeout); d < sqllock.MinTTL || d > sqllock.MaxTTL {
		return fmt.Errorf("it must be between %v and %v", sqllock.MinTTL, sqllock.MaxTTL)
	}
	return nil
}

var negative = regexp.MustCompile(`^-\d+$`)

// normalise converts the spellings of Go's flag package, which golang-migrate uses, to those of
// pflag: -path becomes --path and --f becomes -f. A negative number, as in "force -1", is an
// argument.
func normalise(root *cobra.Command, args []string) []string {
	takesValue := flagsWithValue(root)
	var out, numbers []string
	isValue := false
	for i, arg := range args {
		name, _, inline := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case isValue:
			isValue = false
		case arg == "--":
			return append(append(out, "--"), append(numbers, args[i+1:]...)...)
		case negative.MatchString(arg):
			numbers = append(numbers, arg)
			continue
		case strings.HasPrefix(arg, "-") && name != "":
			dashes := "--"
			if len(name) == 1 {
				dashes = "-"
			}
			arg = dashes + strings.TrimLeft(arg, "-")
			isValue = takesValue[name] && !inline
		}
		out = append(out, arg)
	}
	if numbers != nil {
		out = append(append(out, "--"), numbers...)
	}
	return out
}

// flagsWithValue returns the names of all commands' flags that take a value.
func flagsWithValue(root *cobra.Command) map[string]bool {
	names := map[string]bool{}
	note := func(f *pflag.Flag) {
		if f.NoOptDefVal == "" {
			names[f.Name] = true
		}
	}
	root.PersistentFlags().VisitAll(note)
	all := root.Commands()
	for len(all) > 0 {
		cmd := all[0]
		cmd.Flags().VisitAll(note)
		all = append(all[1:], cmd.Commands()...)
	}
	return names
}

// limit parses the argument N of up and down.
func limit(args []string) (int, error) {
	n, err := strconv.ParseUint(args[0], 10, 31)
	if err != nil {
		return 0, cli.Usagef("N is %q: want a number of migrations, 0 or more", args[0])
	}
	return int(n), nil
}
