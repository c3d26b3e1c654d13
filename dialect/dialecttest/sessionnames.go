package dialecttest

import (
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// sessionNames: names are compared byte for byte, whatever the server does with names of its own.
func sessionNames(s *suite) {
	var locks []dialect.ServerLock
	for _, name := range append(names(), "x ", " x", "x\t", "\xff", "\xfe") {
		locks = append(locks, dialect.ServerLock{Name: name})
	}
	s.run("one after the other", func(s *suite) {
		a, b := s.open("a"), s.open("b")
		for _, lock := range locks {
			if !a.try(lock)[0] {
				s.Fatalf("%q is taken for another name", lock.Name)
			}
		}
		for _, lock := range locks {
			if b.try(lock)[0] {
				s.Fatalf("%q was given twice", lock.Name)
			}
		}
		for _, lock := range slices.Backward(locks) {
			if !a.unlock(lock)[0] {
				s.Errorf("%q wasn't held", lock.Name)
			}
		}
	})
	s.run("all at once", func(s *suite) {
		a, b := s.open("a"), s.open("b")
		a.takes(locks...)
		b.isRefused(locks...)
		a.frees(locks...)
		b.takes(locks...)
	})
}
