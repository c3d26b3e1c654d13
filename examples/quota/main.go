// Command quota shows a quota that several gateways share and never exceed, whatever becomes of them. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/show"
)

// "gateway NAME URL" is one of the gateways.
var program = show.Program{Name: "quota", Play: play, Parts: map[string]show.Part{
	"gateway": {Args: 2, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return serve(ctx, args[0], args[1], out)
	}},
}}

func main() { program.Main() }
