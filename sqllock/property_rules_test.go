package sqllock_test

import (
	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/sqllock"
)

// want is what somebody asks for.
type want struct {
	reads bool
	n     int // permits of the semaphore; 0: none
}

func (w want) options() (opts []sqllock.Option) {
	if w.reads {
		opts = append(opts, sqllock.Shared())
	}
	if w.n > 0 {
		opts = append(opts, sqllock.Permits(w.n))
	}
	return opts
}

// rules are a kind of lock as its users understand it.
type rules struct {
	want func(t *rapid.T) want
	mix  func(a, b *grant) bool           // both may be held at a time
	full func(held []*grant, w want) bool // it has to be refused beside those
}

func anyHeld(held []*grant, _ want) bool { return len(held) > 0 }

var exclusiveRules = rules{
	want: func(*rapid.T) want { return want{} },
	mix:  func(*grant, *grant) bool { return false },
	full: anyHeld,
}

var sharedRules = rules{
	want: func(t *rapid.T) want { return want{reads: rapid.Bool().Draw(t, "reads")} },
	mix:  func(a, b *grant) bool { return a.reads && b.reads },
	full: func(held []*grant, w want) bool {
		for _, g := range held {
			if !g.reads || !w.reads {
				return true
			}
		}
		return false
	},
}

var permitRules = rules{
	want: func(t *rapid.T) want { return want{n: rapid.IntRange(1, 4).Draw(t, "n")} },
	mix:  func(a, b *grant) bool { return a.lock.Slot() != b.lock.Slot() },
	full: func(held []*grant, w want) bool {
		taken := make(map[int]bool)
		for _, g := range held {
			if g.lock.Slot() < w.n {
				taken[g.lock.Slot()] = true
			}
		}
		return len(taken) == w.n
	},
}
