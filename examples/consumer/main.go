// Command consumer shows a queue consumer that survives duplicates and crashes. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// "consume QUEUE CRASH" runs a consumer that hangs at the step CRASH.
var program = demo.Program{Name: "consumer", Demo: runDemo, Parts: map[string]demo.Part{
	"consume": {Args: 2, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return consume(ctx, args[0], args[1], out)
	}},
}}

func main() { program.Main() }
