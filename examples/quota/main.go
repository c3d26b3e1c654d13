// Command quota shows a quota that several gateways share and never exceed, even if one of them is
// killed. See README.md.
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// "gateway NAME URL" runs one of the gateways.
var program = demo.Program{Name: "quota", Demo: runDemo, Parts: map[string]demo.Part{
	"gateway": {Args: 2, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return serve(ctx, args[0], args[1], out)
	}},
}}

func main() { program.Main() }
