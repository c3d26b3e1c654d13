package dialecttest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// brief is for how long an outcome is kept that is to expire at once: before its commit has ended.
const brief = time.Microsecond

// done returns an outcome to be remembered for long.
func done(name string) dialect.Done {
	return dialect.Done{Name: name, Fence: time.Now().UnixNano(), Result: []byte(unique("result")), Keep: long}
}

func (s *suite) remember(d dialect.Done) dialect.Outcome {
	s.Helper()
	return ask(s, s.d.Remember, d)[0]
}

func (s *suite) recall(name string) dialect.Outcome {
	s.Helper()
	return ask(s, s.d.Recall, name)[0]
}

// is checks that an outcome is the wanted one.
func (s *suite) is(got dialect.Outcome, want dialect.Done) {
	s.Helper()
	if !got.Kept || got.Fence != want.Fence || got.Failed != want.Failed || !bytes.Equal(got.Result, want.Result) {
		s.Fatalf("the outcome is %.200s, want %.200s", fmt.Sprint(got), fmt.Sprint(want))
	}
}

// remembered checks the outcome of a name.
func (s *suite) remembered(want dialect.Done) dialect.Outcome {
	s.Helper()
	got := s.recall(want.Name)
	s.is(got, want)
	return got
}

func (s *suite) forgotten(name string) {
	s.Helper()
	if got := s.recall(name); !reflect.DeepEqual(got, dialect.Outcome{}) {
		s.Fatalf("of %q this is remembered: %+v", name, got)
	}
}

// outcomes checks that the first outcome is remembered, for as long as requested.
func outcomes(s *suite) {
	s.run("the first one wins", func(s *suite) {
		first, second := done(unique("key")), done(unique("other"))
		s.forgotten(first.Name)
		s.is(s.remember(first), first)
		second.Name, second.Failed = first.Name, true
		s.is(s.remember(second), first)
		s.remembered(first)
	})
	s.run("sent again", func(s *suite) {
		d := done(unique("key"))
		if a, b := s.remember(d), s.remember(d); !reflect.DeepEqual(a, b) {
			s.Errorf("%+v, and sent again %+v", a, b)
		}
	})
	s.run("what goes in comes out", outcomeContents)
	s.run("every name is a key of its own", func(s *suite) {
		for i, name := range names() {
			s.is(s.remember(dialect.Done{Name: name, Fence: int64(i), Keep: long}),
				dialect.Done{Name: name, Fence: int64(i)})
		}
		for i, name := range names() {
			s.remembered(dialect.Done{Name: name, Fence: int64(i)})
		}
	})
	s.run("by the database's clock", func(s *suite) {
		d := done(unique("key"))
		at, again := s.remember(d).At, s.recall(d.Name).At
		if off := time.Since(at).Abs(); off > time.Minute || !at.Equal(again) || at.Location() != time.UTC {
			s.Errorf("remembered at %s, which is %s off, and recalled as of %s", at, off, again)
		}
	})
	s.run("for as long as requested", outcomeExpires)
	s.run("for a shorter time than a commit takes", func(s *suite) {
		d := done(unique("key"))
		d.Keep = brief
		s.is(s.remember(d), d)
		s.eventually("forgotten", func() bool { return !s.recall(d.Name).Kept })
		d.Result = []byte("another")
		s.is(s.remember(d), d) // in the row of the first one
	})
	s.run("several at once", func(s *suite) {
		a, b, c := done(unique("c")), done(unique("b")), done(unique("a"))
		s.remember(b)
		other := done(b.Name)
		got := ask(s, s.d.Remember, a, other, c)
		for i, want := range []dialect.Done{a, b, c} {
			s.is(got[i], want)
			s.is(ask(s, s.d.Recall, a.Name, b.Name, c.Name)[i], want)
		}
		ask(s, s.d.Remember)
		ask(s, s.d.Recall)
	})
	s.run("all at the same time", outcomesRace)
}

func outcomeContents(s *suite) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, result := range [][]byte{nil, {}, {0}, every, []byte("ä\xff' -- \\"), bytes.Repeat(every, 256)} {
		for _, failed := range []bool{false, true} {
			d := dialect.Done{Name: unique("key"), Fence: 1<<62 + 3, Failed: failed, Result: result, Keep: long}
			s.is(s.remember(d), d)
			if got := s.remembered(d); len(result) == 0 && got.Result != nil {
				s.Errorf("an empty result came back as %v", got.Result)
			}
		}
	}
}

// outcomeExpires checks that an outcome is kept until its time is over, and that another replaces
// it then.
func outcomeExpires(s *suite) {
	first, second := done(unique("key")), done(unique("other"))
	first.Keep, second.Name, second.Keep = short, first.Name, time.Hour
	sent := time.Now()
	s.remember(first)
	s.eventually("forgotten", func() bool { return !s.recall(first.Name).Kept })
	if kept := time.Since(sent); kept < short-slack {
		s.Errorf("kept for %s of %s", kept, short)
	}
	s.forgotten(first.Name)
	s.is(s.remember(second), second)
	s.remembered(second)
	s.is(s.remember(first), second)
}

// outcomesRace checks that all callers get the same outcome.
func outcomesRace(s *suite) {
	for round := range 5 {
		name := unique("key")
		got := make([]dialect.Outcome, 8)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				d := done(name)
				d.Result = fmt.Append(nil, i)
				results, err := retryTransient(s, func(ctx context.Context) ([]dialect.Outcome, error) {
					return s.d.Remember(ctx, []dialect.Done{d})
				})
				if s.completed(err) {
					got[i] = results[0]
				}
			})
		}
		all.Wait()
		for i, o := range got {
			if !o.Kept || !reflect.DeepEqual(o, got[0]) {
				s.Fatalf("round %d: %d got %+v, and 0 got %+v", round, i, o, got[0])
			}
		}
	}
}
