//go:build unix

// Command ledger shows what sqllock is for. Several worker processes share one lock and do guarded work on one
// ledger table; one is killed with kill -9 and another frozen with SIGSTOP past its TTL, both while they hold the
// lock. The output tells, line by line, who held it with which fence; at the end the ledger itself proves that
// nobody's work overlapped, that fences only grew, and that nothing was lost or written twice.
//
// It runs on a SQLite file of its own, or on any engine with SQLLOCK_DATABASE_URL=….
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

// run is the director of the show, or, when it started itself with "worker N", one of the workers.
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

	s := newStage(url, ledger, out)
	defer s.clear()
	told, err := s.play(ctx)
	if err != nil {
		return err
	}
	return ledger.prove(ctx, told, out)
}
