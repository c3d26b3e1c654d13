package mysql

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// maxBatch is how many locks go in one statement. The statements have it as their LIMIT.
const maxBatch = 1000

// inBatches calls many for elements of different keys, in the order of their keys. After that it
// calls singleRowOnly for each element whose key occurred before.
func inBatches[In, Out any](
	in []In, key func(In) dialect.Key, many func([]In) ([]Out, error), singleRowOnly func(In) (Out, error),
) ([]Out, error) {
	out := make([]Out, len(in))
	first, again := inOrder(in, key)
	begun := false
	for indexes := range slices.Chunk(first, maxBatch) {
		asked := make([]In, len(indexes))
		for i, index := range indexes {
			asked[i] = in[index]
		}
		results, err := many(asked)
		if err != nil {
			return nil, partly(begun, err)
		}
		begun = true
		for i, index := range indexes {
			out[index] = results[i]
		}
	}
	for _, index := range again {
		result, err := singleRowOnly(in[index])
		if err != nil {
			return nil, partly(begun, err)
		}
		out[index] = result
	}
	return out, nil
}

// oneByOne asks for each element alone.
func oneByOne[In, Out any](in []In, singleRowOnly func(In) (Out, error)) ([]Out, error) {
	done := 0
	out, err := engine.Each(in, func(one In) (Out, error) {
		result, err := singleRowOnly(one)
		if err == nil {
			done++
		}
		return result, err
	})
	return out, partly(done > 0, err)
}

// inOrder returns the indexes of the elements in the order of their keys: first those with the
// first element of each key, and again the others.
func inOrder[In any](in []In, key func(In) dialect.Key) (first, again []int) {
	indexes := make([]int, len(in))
	for i := range in {
		indexes[i] = i
	}
	slices.SortStableFunc(indexes, func(a, b int) int { return compare(row(key(in[a])), row(key(in[b]))) })
	for i, index := range indexes {
		if i > 0 && row(key(in[index])) == row(key(in[indexes[i-1]])) {
			again = append(again, index)
		} else {
			first = append(first, index)
		}
	}
	return first, again
}

func compare(a, b dialect.Key) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Slot, b.Slot))
}

// row returns the key as the server compares it: it ignores spaces at a name's end.
func row(k dialect.Key) dialect.Key {
	k.Name = strings.TrimRight(k.Name, " ")
	return k
}

// partlyError is Unknown: a statement failed, or its result didn't match, after others of the same
// call were committed.
type partlyError struct{ error }

func (e partlyError) Unwrap() error { return e.error }

func partly(begun bool, err error) error {
	if begun && err != nil {
		return partlyError{err}
	}
	return err
}
