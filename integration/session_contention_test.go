package integration

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

type countArgs struct {
	Name           string
	Routines, Each int
}

var _ = handle("count", (*worker).count)

// count adds to a counter, under a session lock and in two statements. Without mutual exclusion
// additions are lost.
func (w *worker) count(ctx context.Context, args countArgs) (any, error) {
	var group sync.WaitGroup
	errs := make(chan error, args.Routines*args.Each)
	for range args.Routines {
		group.Go(func() {
			for range args.Each {
				if err := w.locks.Session(args.Name).Do(ctx, func(ctx context.Context, _ *sqllock.SessionLock) error {
					var n int
					if err := w.target.DB.QueryRowContext(ctx, "SELECT n FROM counter").Scan(&n); err != nil {
						return err
					}
					_, err := w.target.DB.ExecContext(ctx, fmt.Sprintf("UPDATE counter SET n = %d", n+1))
					return err
				}); err != nil {
					errs <- err
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
		return nil, nil
	}
}

// countAll lets all workers count at the same time.
func countAll(t testing.TB, workers []*process, args countArgs) {
	t.Helper()
	var replies []<-chan message
	for _, p := range workers {
		reply, err := p.send("count", args)
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, reply)
	}
	for i, p := range workers {
		if _, err := receive[any](p, "count", replies[i], stepTimeout); err != nil {
			t.Error(err)
		}
	}
}

// TestSessionContention lets processes and their goroutines compete for one session lock.
func TestSessionContention(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		var workers []*process
		for i := range 4 {
			workers = append(workers, start(t, setup{URL: url, Holder: fmt.Sprint("worker ", i), ReapEvery: -1}, nil))
		}
		contendInTx(t, connect(t, url), workers...)
	})
}
