package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	quotaName = "demo/partner"
	quota     = 3 // calls that the partner accepts at once
	callers   = 4 // in each gateway
	ttl       = 2 * time.Second
)

// serve runs one gateway: its callers call the partner all the time, until ctx ends.
func serve(ctx context.Context, name, partner string, out io.Writer) error {
	database, err := demo.OpenDatabase()
	if err != nil {
		return err
	}
	defer database.DB.Close()
	locks, err := sqllock.New(ctx, database.Dialect, &sqllock.Options{
		TTL: ttl, Holder: name, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)
	fmt.Fprintln(out, "is ready")
	var group sync.WaitGroup
	errs := make(chan error, callers)
	for range callers {
		group.Go(func() { errs <- callRepeatedly(ctx, locks, partner) })
	}
	group.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	fmt.Fprintln(out, "has ended")
	return err
}

func callRepeatedly(ctx context.Context, locks *sqllock.Client, partner string) error {
	for ctx.Err() == nil {
		err := locks.Semaphore(quotaName, quota).Do(ctx, func(ctx context.Context, _ *sqllock.Lock) error {
			return call(ctx, partner)
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// call ends with ctx, and so with the permit. A call that continued without a permit could exceed
// the quota.
func call(ctx context.Context, partner string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, partner, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the partner responded with %s", response.Status)
	}
	return nil
}
