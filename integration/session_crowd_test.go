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

// count adds to a counter, under a session lock and in two statements: whoever isn't alone loses somebody's addition.
func (w *worker) count(ctx context.Context, args countArgs) (any, error) {
	var group sync.WaitGroup
	errs := make(chan error, args.Routines*args.Each)
	for range args.Routines {
		group.Go(func() {
			for range args.Each {
				if err := w.locks.Do(ctx, args.Name, func(ctx context.Context, _ *sqllock.Lock) error {
					var n int
					if err := w.target.DB.QueryRowContext(ctx, "SELECT n FROM counter").Scan(&n); err != nil {
						return err
					}
					_, err := w.target.DB.ExecContext(ctx, fmt.Sprintf("UPDATE counter SET n = %d", n+1))
					return err
				}, sqllock.Session()); err != nil {
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

// Processes and their goroutines compete for one session lock.
func TestSessionContention(t *testing.T) {
	const processes, routines = 4, 4
	each := int(lasting(10, 100))
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, "CREATE TABLE counter (n INT NOT NULL)", "INSERT INTO counter VALUES (0)")
		var workers []*process
		var answers []<-chan message
		for i := range processes {
			p := start(t, setup{URL: url, Holder: fmt.Sprint("worker ", i), ReapEvery: -1}, nil)
			answer, err := p.send("count", countArgs{Name: "counter", Routines: routines, Each: each})
			if err != nil {
				t.Fatal(err)
			}
			workers, answers = append(workers, p), append(answers, answer)
		}
		for i, p := range workers {
			if _, err := hear[any](p, "count", answers[i], patience); err != nil {
				t.Error(err)
			}
		}
		if n := scan[int](t, target, "SELECT n FROM counter"); n != processes*routines*each {
			t.Errorf("%d additions of %d are there", n, processes*routines*each)
		}
	})
}
