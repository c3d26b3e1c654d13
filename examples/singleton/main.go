// Command singleton shows a worker of which several processes run and one works: the leader of an election. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/show"
)

// "worker NAME" is one of the workers.
var program = show.Program{Name: "singleton", Play: play, Parts: map[string]show.Part{
	"worker": {Args: 1, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return work(ctx, args[0], out)
	}},
}}

func main() { program.Main() }
