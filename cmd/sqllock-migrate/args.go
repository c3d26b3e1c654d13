package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqllock/sqllock/sqllock"
)

const defaultLockTimeout = 15 * time.Second

// lockTimeout is a flag in golang-migrate's whole seconds, or a duration.
type lockTimeout time.Duration

func (t *lockTimeout) String() string { return time.Duration(*t).String() }
func (t *lockTimeout) Type() string   { return "seconds" }

func (t *lockTimeout) Set(text string) error {
	d, err := time.ParseDuration(text)
	if seconds, notSeconds := strconv.ParseUint(text, 10, 31); notSeconds == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 {
		return errors.New("want seconds, 0 or more, or a duration like 2m")
	}
	*t = lockTimeout(d)
	return nil
}

// lockTTL is a flag, written as a lockTimeout is.
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

// normalise turns the spellings of Go's flag package, which golang-migrate uses, into pflag's: -path is --path, --f is
// -f, and a negative number, as in "force -1", is an argument.
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

// flagsWithValue are the names of all commands' flags that aren't switches.
func flagsWithValue(root *cobra.Command) map[string]bool {
	names := map[string]bool{}
	note := func(f *pflag.Flag) {
		if f.NoOptDefVal == "" {
			names[f.Name] = true
		}
	}
	root.PersistentFlags().VisitAll(note)
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(note)
	}
	return names
}

// limit reads the argument N of up and down.
func limit(args []string) (int, error) {
	n, err := strconv.ParseUint(args[0], 10, 31)
	if err != nil {
		return 0, usagef("N is %q: want how many migrations, 0 or more", args[0])
	}
	return int(n), nil
}

// argument requires from least to most arguments, and names what they are.
func argument(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return usagef("%s needs %s", cmd.Name(), what)
		}
		if len(args) > most {
			return usagef("%s got %q: too many arguments", cmd.Name(), args)
		}
		return nil
	}
}
