package cli

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

// Variable returns the environment variable for a flag: SQLLOCK_LOCK_TIMEOUT for --lock-timeout.
// For a flag of a single command the name includes the command, so that a --force meant for one
// command has no effect on another.
func Variable(cmd *cobra.Command, f *pflag.Flag) string {
	name := f.Name
	switch {
	case name == "database":
		name = "database-url"
	case cmd.Root().PersistentFlags().Lookup(name) == nil:
		name = CommandName(cmd) + "-" + name
	}
	return prefix + strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(name))
}

// hasVariable reports whether a flag can be set by a variable. All can except those that end the
// command.
func hasVariable(f *pflag.Flag) bool { return f.Name != "help" && f.Name != "version" }

// NameVariables adds the variable's name to the description of each flag. It also keeps the help
// from naming a default of 0s, which stands for a default that the description names.
func NameVariables(root *cobra.Command) {
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
				f.Usage += " [$" + Variable(cmd, f) + "]"
			}
			if f.DefValue == "0s" {
				f.DefValue = ""
			}
		})
	}
}

// Environment sets flags to the values of environment variables.
type Environment struct {
	File string                           // the value of --env
	Say  func(format string, args ...any) // writes a line for people
	Skip func(flag string) bool           // reports whether a flag is left alone; nil if none is
}

// Apply sets every flag that isn't on the command line to the value of its variable, if that isn't
// empty. The process's own environment takes precedence over the file of --env.
func (e Environment) Apply(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if file := cmd.Flag("env"); !file.Changed && os.Getenv(Variable(cmd, file)) != "" {
		e.File = os.Getenv(Variable(cmd, file))
	}
	inFile, err := e.read()
	if err != nil {
		return err
	}
	flags.VisitAll(func(f *pflag.Flag) {
		name := Variable(cmd, f)
		text := os.Getenv(name)
		if text == "" {
			text = inFile[name]
		}
		switch {
		case text == "" || f.Changed || err != nil || !hasVariable(f) || f.Name == "env":
		case e.Skip != nil && e.Skip(f.Name):
		default:
			if wrong := f.Value.Set(text); wrong != nil {
				err = Usagef("%s: %v", name, wrong)
			}
			f.Changed = true
		}
	})
	return err
}

// read reads the variables in the file of --env. A file called .env that wasn't named explicitly
// may belong to another program, so read ignores it if it can't be parsed.
func (e Environment) read() (map[string]string, error) {
	if e.File == noEnv {
		return nil, nil
	}
	named := e.File != ""
	if !named {
		e.File = defaultEnv
	}
	all, err := godotenv.Read(e.File)
	switch {
	case err == nil:
		return all, nil
	case errors.As(err, new(*fs.PathError)):
		if named || !errors.Is(err, fs.ErrNotExist) {
			return nil, Usagef("--env: %v", err)
		}
		return nil, nil
	case named: // the parser's message would quote the file, which may have a password
		return nil, Usagef("--env %s: it can't be read as lines of NAME=value", e.File)
	}
	e.Say("ignoring %s, which can't be read as lines of NAME=value; --env none turns this message off", e.File)
	return nil, nil
}
