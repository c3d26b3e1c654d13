package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

func keysOf(names ...string) []dialect.Key {
	keys := make([]dialect.Key, len(names))
	for i, name := range names {
		keys[i].Name = name
	}
	return keys
}

// batched records the calls: a batch as "a b", a single one as "(a)". It fails where it is told to.
func batched(keys []dialect.Key, failing string) (asked, results []string, err error) {
	note := func(what string) error {
		asked = append(asked, what)
		if what == failing {
			return fmt.Errorf("at %s: %w", what, engine.ErrBusy)
		}
		return nil
	}
	results, err = inBatches(keys, func(k dialect.Key) dialect.Key { return k },
		func(several []dialect.Key) ([]string, error) {
			names := make([]string, len(several))
			for i, k := range several {
				names[i] = k.Name
			}
			return names, note(strings.Join(names, " "))
		},
		func(k dialect.Key) (string, error) { return "(" + k.Name + ")", note("(" + k.Name + ")") })
	return asked, results, err
}

func TestBatchesAreInOrder(t *testing.T) {
	asked, results, err := batched(keysOf("c", "a", "b", "a ", "B", "ä", "c"), "")
	if err != nil || !slices.Equal(asked, []string{"B a b c ä", "(a )", "(c)"}) {
		t.Errorf("asked for %q, error %v", asked, err)
	}
	if want := []string{"c", "a", "b", "(a )", "B", "ä", "(c)"}; !slices.Equal(results, want) {
		t.Errorf("results %q, want %q", results, want)
	}
}

func TestBatchesAreNotTooLarge(t *testing.T) {
	keys := make([]dialect.Key, maxBatch+1)
	for i := range keys {
		keys[i].Name = fmt.Sprintf("%05d", i)
	}
	if asked, results, err := batched(keys, ""); err != nil || len(asked) != 2 || asked[1] != keys[maxBatch].Name ||
		len(results) != len(keys) {
		t.Errorf("%d batches, %d results, error %v", len(asked), len(results), err)
	}
	for _, text := range []string{sqlAcquireMany.mysql, sqlReleaseMany.mysql, sqlSeeLocks} {
		if !strings.Contains(text, fmt.Sprintf("LIMIT %d", maxBatch)) {
			t.Errorf("not LIMIT %d: %s", maxBatch, text)
		}
	}
}

// After a commit an error is Unknown, whatever it would be alone.
func TestFailingHalfWayIsUnknown(t *testing.T) {
	d := New(nil)
	for failing, want := range map[string]dialect.Class{"a b": dialect.ClassTransient, "(a)": dialect.ClassUnknown} {
		_, _, err := batched(keysOf("b", "a", "a"), failing)
		if got := d.Classify(fail("acquire", err)); got != want || !errors.Is(err, engine.ErrBusy) {
			t.Errorf("at %s: %v (class %s), want %s", failing, err, got, want)
		}
	}
	grants := make([]dialect.Grant, 2)
	seen := []sightedLock{{there: true, mine: true, fence: 7}, {there: true}}
	if err := readGrants(seen, 2, grants); d.Classify(err) != dialect.ClassUnknown || !errors.Is(err, errMoved) {
		t.Errorf("two were taken and one was read: %v (class %s)", err, d.Classify(err))
	}
	clear(grants)
	if err := readGrants(seen, 1, grants); err != nil || grants[0] != (dialect.Grant{Granted: true, Fence: 7}) ||
		grants[1].Granted {
		t.Errorf("%+v, error %v", grants, err)
	}
}
