// Command deploy shows a deploy gate: the pipelines of a CI system deploy to one environment, one
// at a time, first come first served, and never an older build over a newer one. See README.md.
package main

import (
	"context"
	"io"
	"strconv"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// "build N" runs the pipeline of build N.
var program = demo.Program{Name: "deploy", Demo: runDemo, Parts: map[string]demo.Part{
	"build": {Args: 1, Run: func(ctx context.Context, args []string, out io.Writer) error {
		build, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		return pipeline(ctx, build, out)
	}},
}}

func main() { program.Main() }
