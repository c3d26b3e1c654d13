package servers

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
)

// kinds are groups of engines of which one stands for all in most tests of make test: two versions
// of one product, or a product and its fork.
var kinds = [][]string{{"postgres15", "postgres18"}, {"mysql", "mariadb"}}

// OneOfEachKind returns those of the given engines that a test runs on. In make test-all it returns
// all of them. In make test it returns one of PostgreSQL 15 and 18, one of MySQL and MariaDB, and
// every engine that is the only one of its kind.
//
// The test's name alone decides which of the two: a test has the same engines in every run, and
// half of the tests run on each. If the first isn't available on this machine, the test runs on the
// other.
func OneOfEachKind(t testing.TB, engines ...string) []string {
	t.Helper()
	engines = chosenEngines(t, engines)
	if long.Enabled {
		return engines
	}
	return oneOfEachKind(t.Name(), engines, canBeHad)
}

// chosenEngines returns those of the engines that SQLLOCK_TEST_ENGINES names, or all if it is
// unset. If it names none of them, the test is skipped.
func chosenEngines(t testing.TB, engines []string) []string {
	t.Helper()
	list := os.Getenv("SQLLOCK_TEST_ENGINES")
	if list == "" {
		return engines
	}
	wanted := strings.Split(list, ",")
	for _, name := range wanted {
		if _, err := lookup(name); err != nil {
			t.Fatalf("SQLLOCK_TEST_ENGINES: %v", err)
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(engines), func(engine string) bool {
		return !slices.Contains(wanted, engine)
	})
	if len(chosen) == 0 {
		skip(t, fmt.Sprintf("SQLLOCK_TEST_ENGINES is %s, and this test is for %s", list, strings.Join(engines, ", ")))
	}
	return chosen
}

func oneOfEachKind(test string, engines []string, had func(engine string) bool) []string {
	return slices.DeleteFunc(slices.Clone(engines), func(engine string) bool {
		for _, kind := range kinds {
			if slices.Contains(kind, engine) {
				return engine != pick(test, kind, engines, had)
			}
		}
		return false
	})
}

// pick returns the engine of a kind that stands for all of them.
func pick(test string, kind, engines []string, had func(engine string) bool) string {
	candidates := slices.DeleteFunc(slices.Clone(kind), func(engine string) bool {
		return !slices.Contains(engines, engine)
	})
	hash := sha256.Sum256([]byte(kind[0] + " " + test))
	first := candidates[int(hash[0])%len(candidates)]
	if had(first) {
		return first
	}
	if i := slices.IndexFunc(candidates, had); i >= 0 {
		return candidates[i]
	}
	return first
}

// known caches the results of canBeHad, by engine.
var known sync.Map

// canBeHad reports whether some provider has a server of that engine. It doesn't check that the
// server starts.
func canBeHad(engine string) bool {
	once, _ := known.LoadOrStore(engine, sync.OnceValue(func() bool {
		e, err := lookup(engine)
		return err == nil && (os.Getenv(e.env("URL")) != "" || Installed(engine) == nil || dockerAnswers() == nil)
	}))
	return once.(func() bool)()
}
