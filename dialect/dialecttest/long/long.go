// Package long distinguishes make test, which ends in minutes, from make test-all, which takes
// longer.
package long

import "os"

// Enabled reports whether the tests run long and often enough to find rare failures. make test-all
// sets SQLLOCK_TEST_LONG for this.
var Enabled = os.Getenv("SQLLOCK_TEST_LONG") != ""

// Or returns short in make test and full in make test-all: a test's duration, number of rounds, or
// cases.
func Or[T any](short, full T) T {
	if Enabled {
		return full
	}
	return short
}
