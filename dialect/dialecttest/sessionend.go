package dialecttest

import (
	"context"
	"errors"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// sessionEnd checks that a session that ends in any way is known to have ended, and leaves no lock
// behind.
func sessionEnd(s *suite) {
	s.run("Ping", func(s *suite) {
		a, lock := s.open("a"), serverLock()
		a.takes(lock)
		for range 3 {
			s.must(a.Ping(s.ctx))
		}
		s.open("b").isRefused(lock)
	})
	s.run("ended by the server", func(s *suite) {
		a, b, locks := s.open("a"), s.open("b"), serverLocks(3)
		a.takes(locks...)
		s.EndSessions(s.T)
		s.eventually("Ping fails", func() bool { return a.Ping(s.ctx) != nil })
		if _, err := a.TryLock(s.ctx, serverLocks(1)); err == nil {
			s.Error("TryLock works in a session that has ended")
		}
		if got, err := b.Unlock(s.ctx, locks[:1]); err == nil && got[0] {
			s.Error("Unlock works in a session that has ended")
		}
		s.quickly("Close", func(*suite) { a.Close() })
		s.open("c").takesSoon(locks...)
	})
	s.run("a ctx that has ended", func(s *suite) {
		cancelled, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := s.d.(dialect.SessionLocker).OpenSession(cancelled, dialect.SessionOptions{})
		if !errors.Is(err, context.Canceled) {
			s.Errorf("OpenSession: %v", err)
		}
		lock := serverLock()
		for what, call := range map[string]func(dialect.Session) error{
			"TryLock": func(a dialect.Session) error {
				_, err := a.TryLock(cancelled, []dialect.ServerLock{lock})
				return err
			},
			"Unlock": func(a dialect.Session) error {
				_, err := a.Unlock(cancelled, []dialect.ServerLock{lock})
				return err
			},
			"HeldBy": func(a dialect.Session) error {
				_, err := a.HeldBy(cancelled, []dialect.ServerLock{lock})
				return err
			},
			"Ping": func(a dialect.Session) error { return a.Ping(cancelled) },
		} {
			a := s.open("a")
			if err := call(a); !errors.Is(err, context.Canceled) {
				s.Errorf("%s: %v", what, err)
			}
			a.Close()
		}
		s.open("b").takesSoon(lock)
	})
	s.run("a ctx that ends", func(s *suite) {
		locks := serverLocks(20)
		for i := range 20 {
			a := s.open("a")
			ctx, cancel := context.WithTimeout(s.ctx, time.Duration(i)*100*time.Microsecond)
			if _, err := a.TryLock(ctx, locks); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				s.Errorf("TryLock: %v (class %s)", err, s.d.Classify(err))
			}
			cancel()
			s.quickly("Close", func(*suite) { a.Close() })
		}
		s.open("b").takesSoon(locks...)
	})
	s.run("closed under a call", func(s *suite) {
		locks := serverLocks(3)
		for i := range 5 {
			a := s.open("a")
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for err := error(nil); err == nil; {
					if _, err = a.TryLock(s.ctx, locks); err == nil {
						_, err = a.Unlock(s.ctx, locks)
					}
				}
			}()
			time.Sleep(time.Duration(i) * time.Millisecond) // to hit the calls at different points
			s.quickly("Close", func(*suite) { a.Close() })
			select {
			case <-ended:
			case <-time.After(soon):
				s.Fatal("a call goes on after Close")
			}
		}
		s.open("b").takesSoon(locks...)
	})
}
