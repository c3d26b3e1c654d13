package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// The number of statements that are in flight at a time follows what the server does best.
func TestConcurrencyFollowsTheServer(t *testing.T) {
	const each, all = 500 * time.Microsecond, time.Millisecond // a statement takes that for each call, and for itself
	var one chan struct{}                                      // a mutex in which time passes
	for name, test := range map[string]struct {
		callers int
		fixed   bool
		serve   func(calls, inFlight int)
		want    func(limit int) bool
	}{
		"several at once": {
			callers: 8,
			serve:   func(calls, _ int) { time.Sleep(all + time.Duration(calls)*each) },
			want:    func(limit int) bool { return limit >= 4 },
		},
		"one at a time": {
			callers: 64,
			serve: func(calls, _ int) {
				one <- struct{}{}
				defer func() { <-one }()
				time.Sleep(all + time.Duration(calls)*each/10)
			},
			want: func(limit int) bool { return limit <= 2 },
		},
		"slower with each": {
			callers: 64,
			serve: func(calls, inFlight int) {
				time.Sleep(time.Duration(inFlight*inFlight)*all + time.Duration(calls)*each/10)
			},
			want: func(limit int) bool { return limit <= 2 },
		},
		"one writer": {
			callers: 8, fixed: true,
			serve: func(calls, _ int) { time.Sleep(all + time.Duration(calls)*each) },
			want:  func(limit int) bool { return limit == 1 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one = make(chan struct{}, 1)
				var l lane
				l.limit, l.fixed = 1, test.fixed
				s := &Store{}
				s.Start(t.Context())
				var mu sync.Mutex
				inFlight := 0
				b := newBatcher(s, &l, func(_ context.Context, keys []dialect.Key) ([]int, error) {
					mu.Lock()
					inFlight++
					n := inFlight
					mu.Unlock()
					test.serve(len(keys), n)
					mu.Lock()
					inFlight--
					mu.Unlock()
					return make([]int, len(keys)), nil
				}, func(k dialect.Key) dialect.Key { return k })
				ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
				defer stop()
				var group sync.WaitGroup
				for i := range test.callers {
					group.Go(func() {
						for ctx.Err() == nil {
							_, _ = b.Do(t.Context(), dialect.Key{Name: fmt.Sprint(i)})
						}
					})
				}
				group.Wait()
				if l.trial { // the number before it counts
					l.limit = l.before
				}
				if !test.want(l.limit) {
					t.Errorf("%d statements at a time", l.limit)
				}
			})
		})
	}
}

// While callers come now and then, nothing is measured, and so nothing is tried.
func TestConcurrencyNeedsCallers(t *testing.T) {
	c := concurrency{limit: 1}
	now := time.Now()
	for range 10_000 {
		now = now.Add(time.Millisecond)
		c.answered(now, 1, true)
	}
	if c.limit != 1 || c.trial {
		t.Errorf("%d statements at a time, on trial: %t", c.limit, c.trial)
	}
}
