// Command payment shows a scheduled payout that several hosts run and that pays once. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/show"
)

// "host NAME JOB" is one of the hosts.
var program = show.Program{Name: "payment", Play: play, Parts: map[string]show.Part{
	"host": {Args: 2, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return host(ctx, args[0], args[1], out)
	}},
}}

func main() { program.Main() }
