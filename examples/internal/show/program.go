package show

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Program is an example: the show, and the parts that it plays with, each a process that runs the same program.
type Program struct {
	Name  string
	Play  func(ctx context.Context, out io.Writer) error
	Parts map[string]Part // by the first argument
}

// Part is what one process does.
type Part struct {
	Args int // how many there are behind its name
	Run  func(ctx context.Context, args []string, out io.Writer) error
}

// Main is the program's whole life. Its ctx ends with Ctrl-C, and with SIGTERM, which is how Stop asks a process to end.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := p.Run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}

// Run is the show, or the part that args name.
func (p Program) Run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return p.Play(ctx, out)
	}
	if !p.IsPart(args) {
		return fmt.Errorf("unknown arguments %q; set %s to choose a database", args, urlEnv)
	}
	return p.Parts[args[0]].Run(ctx, args[1:], out)
}

// IsPart tells whether args name a part: for tests, whose binary the show starts again.
func (p Program) IsPart(args []string) bool {
	if len(args) == 0 {
		return false
	}
	part, ok := p.Parts[args[0]]
	return ok && len(args) == 1+part.Args
}
