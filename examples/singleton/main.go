// Command singleton shows a worker with several processes, of which only the leader of an election
// works. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// "worker NAME" runs one of the workers.
var program = demo.Program{Name: "singleton", Demo: runDemo, Parts: map[string]demo.Part{
	"worker": {Args: 1, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return work(ctx, args[0], out)
	}},
}}

func main() { program.Main() }
