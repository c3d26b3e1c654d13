// Command payment shows a scheduled payout that several hosts run and that pays each payee once.
// See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// "host NAME JOB" runs one of the hosts.
var program = demo.Program{Name: "payment", Demo: runDemo, Parts: map[string]demo.Part{
	"host": {Args: 2, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return host(ctx, args[0], args[1], out)
	}},
}}

func main() { program.Main() }
