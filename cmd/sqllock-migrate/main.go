// Command sqllock-migrate migrates the application's tables, with the files in --source. It is a
// drop-in replacement for golang-migrate's command migrate: it has the same files, version table,
// lock, verbs and flags, so that switching only means changing the command's name. sqllock-migrate
// own creates sqllock's own tables and brings them up to date.
//
//	sqllock-migrate -path db/migrations -database URL up 2
//	sqllock-migrate own up --database URL
//
// Results go to stdout (with --json as one object), progress and errors to stderr.
//
// Exit codes:
//
//	0    done, or nothing to do
//	1    failed: a migration was refused, a version isn't known, an answer was no
//	2    the command line or a URL is wrong; nothing was tried
//	3    the database is dirty, from an earlier run; nothing was changed
//	4    the database can't be reached, refuses the login, or doesn't respond in time; nothing was
//	     changed
//	5    another process held the migration lock until the lock timeout; nothing was changed
//	6    the migration lock was lost, so the run stopped between two migrations; what was applied
//	     is recorded
//	7    status --exit-code: a migration is pending, late or edited
//	130  stopped by SIGINT or SIGTERM; what was applied is recorded, and the message says what
//	     happened to a migration that was cut off
//
// golang-migrate differs: it exits with 1 in the cases 3 to 6 and for a wrong URL, and with 0 in
// the case 130, and it writes results to stderr.
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
		signal.Stop(signals) // before the message that we are stopping: the next signal kills the process
		cancel(fmt.Errorf("%v", s))
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
