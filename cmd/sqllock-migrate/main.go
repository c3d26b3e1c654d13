// Command sqllock-migrate creates sqllock's own tables and brings them up to date. With --source it migrates the
// application's tables instead, and is then a drop-in for golang-migrate's command migrate: the same files, version
// table, lock, verbs and flags, so that switching is changing the command's name.
//
//	sqllock-migrate --database URL up
//	sqllock-migrate -path db/migrations -database URL up 2
//
// Results go to stdout (with --json as one object), progress and errors to stderr.
//
// Exit codes:
//
//	0    done, or nothing to do
//	1    failed: a migration was refused, a version isn't known, an answer was no
//	2    the command line or a URL is wrong; nothing was tried
//	3    the database is dirty, from an earlier run; nothing was changed
//	4    the database can't be reached, or lets us not in; nothing was changed
//	5    another process held the migration lock until the lock timeout; nothing was changed
//	6    the migration lock was lost, so it stopped between two migrations; what was applied is recorded
//	130  stopped between two migrations by SIGINT or SIGTERM; what was applied is recorded
//
// Where golang-migrate differs it answers 1 for 3 to 6 and for a wrong URL, 0 for 130, and writes results to stderr.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals) // before anything says that we're stopping: the next signal kills
		cancel(fmt.Errorf("%v", s))
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
