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
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

// run runs the demo, or one of the workers, which the demo starts with "worker N".
func run(ctx context.Context, args []string, out io.Writer) error {
	url := os.Getenv("SQLLOCK_DATABASE_URL")
	if len(args) == 2 && args[0] == "worker" {
		return work(ctx, url, args[1], out)
	}
	if len(args) > 0 {
		return fmt.Errorf("unknown arguments %q; set SQLLOCK_DATABASE_URL to choose a database", args)
	}
	if url == "" {
		dir, err := os.MkdirTemp("", "sqllock-ledger-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		url = "sqlite://" + filepath.Join(dir, "ledger.db")
	}
	ledger, err := createLedger(ctx, url)
	if err != nil {
		return err
	}
	defer ledger.close()

	s := newDemo(url, ledger, out)
	defer s.clear()
	reported, err := s.runDemo(ctx)
	if err != nil {
		return err
	}
	return ledger.prove(ctx, reported, out)
}
