package sqllock_test

import (
	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// want is what a caller asks for.
type want struct {
	reads bool
	rw    bool // the lock is an RWLock
	n     int  // permits of the semaphore; 0 for no semaphore
}

func (w want) options() (opts []any) {
	switch {
	case w.reads:
		opts = append(opts, locktest.Shared)
	case w.rw:
		opts = append(opts, locktest.Writer)
	}
	if w.n > 0 {
		opts = append(opts, locktest.Permits(w.n))
	}
	return opts
}

// rules describe a kind of lock as its users understand it.
type rules struct {
	want func(t *rapid.T) want
	mix  func(a, b *grant) bool           // reports whether both may be held at the same time
	full func(held []*grant, w want) bool // reports whether w has to be refused while these are held
}

func anyHeld(held []*grant, _ want) bool { return len(held) > 0 }

var exclusiveRules = rules{
	want: func(*rapid.T) want { return want{} },
	mix:  func(*grant, *grant) bool { return false },
	full: anyHeld,
}

var sharedRules = rules{
	want: func(t *rapid.T) want { return want{rw: true, reads: rapid.Bool().Draw(t, "reads")} },
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
	mix:  func(a, b *grant) bool { return a.lock.Permit() != b.lock.Permit() },
	full: func(held []*grant, w want) bool {
		taken := make(map[int]bool)
		for _, g := range held {
			if g.lock.Permit() < w.n {
				taken[g.lock.Permit()] = true
			}
		}
		return len(taken) == w.n
	},
}
