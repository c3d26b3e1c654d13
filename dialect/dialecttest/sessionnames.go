package dialecttest

import (
	"iter"

	"github.com/sqllock/sqllock/dialect"
)

// sessionNames checks that names are compared byte for byte, whatever the server does with its own
// names.
func sessionNames(s *suite) {
	var locks []dialect.ServerLock
	for _, name := range append(names(), "x ", " x", "x\t", "\xff", "\xfe") {
		locks = append(locks, dialect.ServerLock{Name: name})
	}
	a, b := s.open("a"), s.open("b")
	// to its own session, a server may grant one lock twice
	for half, other := range halves(locks) {
		a.takes(half...)
		for i, got := range b.try(other...) {
			if !got {
				s.Fatalf("%q is taken for another name", other[i].Name)
			}
		}
		a.isRefused(other...)
		b.isRefused(half...)
		a.frees(half...)
		b.frees(other...)
	}
}

// halves yields ways to split all in two, so that any two elements are on different sides once.
func halves[T any](all []T) iter.Seq2[[]T, []T] {
	return func(yield func([]T, []T) bool) {
		for bit := 1; bit < len(all); bit *= 2 {
			var a, b []T
			for i, one := range all {
				if i&bit == 0 {
					a = append(a, one)
				} else {
					b = append(b, one)
				}
			}
			if !yield(a, b) {
				return
			}
		}
	}
}
