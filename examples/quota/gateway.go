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

	"github.com/sqllock/sqllock/examples/internal/show"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	quotaName = "demo/partner"
	quota     = 3 // calls that the partner takes at once
	callers   = 4 // in each gateway
	ttl       = 2 * time.Second
)

// serve is one gateway's life: its users want the partner to be called all the time, until ctx ends.
func serve(ctx context.Context, name, partner string, out io.Writer) error {
	database, err := show.Database()
	if err != nil {
		return err
	}
	defer database.DB.Close()
	locks, err := sqllock.New(ctx, database.Dialect, &sqllock.Options{TTL: ttl, Holder: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)
	fmt.Fprintln(out, "is ready")
	var group sync.WaitGroup
	errs := make(chan error, callers)
	for range callers {
		group.Go(func() { errs <- callOnAndOn(ctx, locks, partner) })
	}
	group.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	fmt.Fprintln(out, "has ended")
	return err
}

func callOnAndOn(ctx context.Context, locks *sqllock.Client, partner string) error {
	for ctx.Err() == nil {
		err := locks.Do(ctx, quotaName, func(ctx context.Context, _ *sqllock.Lock) error {
			return call(ctx, partner)
		}, sqllock.Permits(quota))
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// call ends with ctx, and so with the permit: a call that went on without one could be one too many.
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
		return fmt.Errorf("the partner answers %s", response.Status)
	}
	return nil
}
