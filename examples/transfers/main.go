//go:build unix

// Command transfers shows transfers between accounts that fences guard: a process that was frozen past the end of its locks can't
// write any more when it goes on. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/show"
)

// "worker NAME" is one of the workers.
var program = show.Program{Name: "transfers", Play: play, Parts: map[string]show.Part{
	"worker": {Args: 1, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return work(ctx, args[0], out)
	}},
}}

func main() { program.Main() }
