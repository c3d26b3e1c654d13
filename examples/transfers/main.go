//go:build unix

// Command transfers shows transfers between accounts that are protected by fences: a process that
// was frozen past the end of its locks can't write any more when it continues. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// "worker NAME" runs one of the workers.
var program = demo.Program{Name: "transfers", Demo: runDemo, Parts: map[string]demo.Part{
	"worker": {Args: 1, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return work(ctx, args[0], out)
	}},
}}

func main() { program.Main() }
