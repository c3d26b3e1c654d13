package dialecttest

import (
	"context"
	"errors"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// listenerEnds checks that a connection that has ended reports it, and that one that waits can be
// ended.
func listenerEnds(s *suite) {
	s.run("a ctx that ends", func(s *suite) {
		w := s.listen()
		ctx, cancel := context.WithCancel(s.ctx)
		time.AfterFunc(short, cancel)
		s.quickly("Next", func(*suite) {
			if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
				s.Errorf("Next: %v", err)
			}
			if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
				s.Errorf("Next under a ctx that has ended: %v", err)
			}
		})
		if _, err := s.d.(dialect.Notifier).OpenListener(ctx, "listener"); !errors.Is(err, context.Canceled) {
			s.Errorf("OpenListener: %v", err)
		}
	})
	s.run("closed", func(s *suite) {
		w := s.listen()
		for range 2 {
			s.quickly("Close", func(*suite) { s.must(w.Close()) })
		}
		s.quickly("Next", func(s *suite) {
			if h, err := w.Next(s.ctx); err == nil {
				s.Errorf("Next works after Close: %+v", h)
			}
		})
	})
	s.run("closed under a call", func(s *suite) {
		for i := range 5 {
			w := s.listen()
			ended := make(chan error, 1)
			go func() {
				_, err := w.Next(s.ctx)
				ended <- err
			}()
			time.Sleep(time.Duration(i) * time.Millisecond)
			s.quickly("Close", func(*suite) { w.Close() })
			select {
			case err := <-ended:
				if err == nil {
					s.Error("Next returned nil after Close")
				}
			case <-time.After(soon):
				s.Fatal("Next goes on after Close")
			}
		}
	})
	// the last, since it also ends the pool's connections
	s.run("ended by the server", func(s *suite) {
		w, waiting := s.listen(), s.listen()
		ended := make(chan error, 1)
		go func() {
			_, err := waiting.Next(s.ctx)
			ended <- err
		}()
		time.Sleep(4 * tick)
		s.EndSessions(s.T)
		s.quickly("Next", func(s *suite) {
			for name, err := range map[string]error{"before": <-ended, "after": next(s.ctx, w)} {
				if err == nil || s.ctx.Err() != nil {
					s.Errorf("Next that was called %s: %v", name, err)
				}
			}
		})
		s.quickly("Close", func(*suite) { w.Close(); waiting.Close() })
	})
}

func next(ctx context.Context, w dialect.Listener) error {
	_, err := w.Next(ctx)
	return err
}
