// Command leases takes one lock with sqllock. It shows how fast such a program starts and how large
// it is.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/sqllock"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, name string) error {
	db, err := postgres.Open(url)
	if err != nil {
		return err
	}
	locks, err := sqllock.New(ctx, postgres.New(db), nil)
	if err != nil {
		return err
	}
	lock, err := locks.Acquire(ctx, name)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "locked")
	if err := lock.Release(ctx); err != nil {
		return err
	}
	return locks.Close(ctx)
}
