// Command byhand takes one advisory lock through pgx. No program that locks in PostgreSQL can be
// smaller.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	conn, err := stdlib.OpenDB(*config).Conn(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(1)"); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "locked")
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock(1)"); err != nil {
		return err
	}
	return conn.Close()
}
