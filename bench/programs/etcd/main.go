// Command etcd takes one lock with the concurrency package of etcd's client.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, name string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{strings.TrimPrefix(url, "tcp://")}})
	if err != nil {
		return err
	}
	session, err := concurrency.NewSession(client, concurrency.WithTTL(15))
	if err != nil {
		return err
	}
	mutex := concurrency.NewMutex(session, name)
	if err := mutex.Lock(ctx); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "locked")
	if err := mutex.Unlock(ctx); err != nil {
		return err
	}
	if err := session.Close(); err != nil {
		return err
	}
	return client.Close()
}
