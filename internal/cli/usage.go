package cli

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// UsageError is a command line that can't be executed.
type UsageError struct{ why string }

// Error says what is wrong with the command line.
func (e *UsageError) Error() string { return e.why }

// Usagef returns a [*UsageError].
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// CommandName returns the command as the user wrote it, without the program: "up", or "own up".
func CommandName(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// UnknownCommand returns an error for arguments that don't name a command. It is the Args of a
// command that only has commands of its own.
func UnknownCommand(cmd *cobra.Command, args []string) error {
	before := ""
	if cmd.HasParent() {
		before = cmd.Name() + " "
	}
	if len(args) == 0 {
		return Usagef("no command given: %s --help lists them", cmd.CommandPath())
	}
	why := fmt.Sprintf("there is no command %q", before+args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		why += "; did you mean " + before + strings.Join(near, " or "+before) + "?"
	}
	return Usagef("%s", why)
}

// Arguments returns a check that there are least to most arguments. what describes them in the
// error.
func Arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return Usagef("%s needs %s", CommandName(cmd), what)
		}
		if len(args) > most {
			return Usagef("%s got %q: too many arguments", CommandName(cmd), args)
		}
		return nil
	}
}

// released is set by the linker in the binaries of a release (.goreleaser.yaml). They are built in
// a workspace, for which Go records no version.
var released string

// Version returns the module's version, as recorded by the Go toolchain.
func Version() string {
	if released != "" {
		return released
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
