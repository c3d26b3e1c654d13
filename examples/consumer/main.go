// Command consumer shows a queue consumer that survives duplicates and crashes. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/show"
)

// "consume QUEUE CRASH" is a consumer that hangs at that step.
var program = show.Program{Name: "consumer", Play: play, Parts: map[string]show.Part{
	"consume": {Args: 2, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return consume(ctx, args[0], args[1], out)
	}},
}}

func main() { program.Main() }
