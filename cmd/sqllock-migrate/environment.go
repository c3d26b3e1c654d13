package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/joho/godotenv"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	prefix     = "SQLLOCK_"
	defaultEnv = ".env"
	noEnv      = "none"
)

// variable returns the environment variable for a flag: SQLLOCK_LOCK_TIMEOUT for --lock-timeout.
// For a flag of a single command the name includes the command, so that a --force meant for one
// command has no effect on another.
func variable(cmd *cobra.Command, f *pflag.Flag) string {
	name := f.Name
	switch {
	case name == "database":
		name = "database-url"
	case cmd.Root().PersistentFlags().Lookup(name) == nil:
		name = commandName(cmd) + "-" + name
	}
	return prefix + strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(name))
}

// hasVariable reports whether a flag can be set by a variable. All can except those that end the
// command.
func hasVariable(f *pflag.Flag) bool { return f.Name != "help" && f.Name != "version" }

// nameVariables adds the variable's name to the description of each flag.
func nameVariables(root *cobra.Command) {
	all := []*cobra.Command{root}
	for len(all) > 0 {
		cmd := all[0]
		all = append(all[1:], cmd.Commands()...)
		flags := cmd.LocalNonPersistentFlags()
		if cmd == root {
			flags = root.PersistentFlags()
		}
		flags.VisitAll(func(f *pflag.Flag) {
			if hasVariable(f) {
				f.Usage += " [$" + variable(cmd, f) + "]"
			}
		})
	}
}

// environment sets every flag that isn't on the command line to the value of its variable, if that
// isn't empty. The process's own environment takes precedence over the file of --env.
func (a *app) environment(cmd *cobra.Command) error {
	flags := cmd.Flags()
	value := os.Getenv
	if file := cmd.Flag("env"); !file.Changed && value(variable(cmd, file)) != "" {
		a.env = value(variable(cmd, file))
	}
	inFile, err := a.readEnv()
	if err != nil {
		return err
	}
	files := flags.Changed("source") || flags.Changed("path")
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(cmd, f)
		text := value(name)
		if text == "" {
			text = inFile[name]
		}
		switch {
		case text == "" || f.Changed || err != nil || !hasVariable(f) || f.Name == "env":
		case files && (f.Name == "source" || f.Name == "path"):
		case isOwn(cmd) && isApplications(f.Name):
		default:
			if wrong := f.Value.Set(text); wrong != nil {
				err = usagef("%s: %v", name, wrong)
			}
			f.Changed = true
		}
	})
	return err
}

// readEnv reads the variables in the file of --env. A file called .env that wasn't named explicitly
// may belong to another program, so readEnv ignores it if it can't be parsed.
func (a *app) readEnv() (map[string]string, error) {
	if a.env == noEnv {
		return nil, nil
	}
	named := a.env != ""
	if !named {
		a.env = defaultEnv
	}
	all, err := godotenv.Read(a.env)
	switch {
	case err == nil:
		return all, nil
	case errors.As(err, new(*fs.PathError)):
		if named || !errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("--env: %v", err)
		}
		return nil, nil
	case named: // the parser's message would quote the file, which may have a password
		return nil, usagef("--env %s: it can't be read as lines of NAME=value", a.env)
	}
	a.say("ignoring %s, which can't be read as lines of NAME=value; --env none turns this message off", a.env)
	return nil, nil
}
