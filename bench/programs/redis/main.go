// Command redis takes one lock with redislock.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, name string) error {
	client := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(url, "tcp://")})
	lock, err := redislock.Obtain(ctx, client, name, 15*time.Second, nil)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "locked")
	if err := lock.Release(ctx); err != nil {
		return err
	}
	return client.Close()
}
