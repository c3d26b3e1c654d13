package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Program is an example: its demo, and the parts that the demo starts as processes of the same
// program.
type Program struct {
	Name  string
	Demo  func(ctx context.Context, out io.Writer) error
	Parts map[string]Part // by the first argument
}

// Part is what one process runs.
type Part struct {
	Args int // the number of arguments after the part's name
	Run  func(ctx context.Context, args []string, out io.Writer) error
}

// Main runs the program and exits. Its ctx ends with Ctrl-C, and with SIGTERM, which [Demo.Stop]
// sends.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := p.Run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}

// Run runs the demo, or the part that args name.
func (p Program) Run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return p.Demo(ctx, out)
	}
	if !p.IsPart(args) {
		return fmt.Errorf("unknown arguments %q; set %s to choose a database", args, urlEnv)
	}
	return p.Parts[args[0]].Run(ctx, args[1:], out)
}

// IsPart reports whether args name a part. It is for tests, whose binary the demo starts again.
func (p Program) IsPart(args []string) bool {
	if len(args) == 0 {
		return false
	}
	part, ok := p.Parts[args[0]]
	return ok && len(args) == 1+part.Args
}
