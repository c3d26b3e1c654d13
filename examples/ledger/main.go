//go:build unix

// Command ledger shows what sqllock is for. Several worker processes share one lock and do guarded
// work on one ledger table. One of them is killed with kill -9, and another is frozen with SIGSTOP
// for longer than its TTL, both while they hold the lock. The output shows which worker held the
// lock with which fence. At the end the ledger itself proves that no work overlapped, that fences
// only grew, and that nothing was lost or written twice.
//
// It runs on its own SQLite file, or on any engine with SQLLOCK_DATABASE_URL=….
package main

import (
	"context"
	"io"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// "worker N" runs one of the workers.
var program = demo.Program{Name: "ledger", Demo: runDemo, Parts: map[string]demo.Part{
	"worker": {Args: 1, Run: func(ctx context.Context, args []string, out io.Writer) error {
		return work(ctx, args[0], out)
	}},
}}

func main() { program.Main() }
