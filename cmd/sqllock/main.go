// Command sqllock takes the locks of package sqllock in scripts, and shows and breaks them.
//
//	sqllock run migrate -- alembic upgrade head
//	sqllock ls
//
// sqllock --help has its commands, flags and exit codes.
package main

import (
	"os"

	"github.com/sqllock/sqllock/cmd/sqllock/internal/child"
)

func main() {
	os.Exit(run(os.Args[1:], child.Signals(), os.Stdin, os.Stdout, os.Stderr))
}
