package mysql

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sqllock/sqllock/dialect"
)

// mostTogether is how many locks go in one statement. The statements have it as their LIMIT.
const mostTogether = 1000

// inBatches asks for elements of different keys at once, in the order of their keys, and for those whose key was named
// before by themselves, after that.
func inBatches[In, Out any](in []In, key func(In) dialect.Key, many func([]In) ([]Out, error), alone func(In) (Out, error)) ([]Out, error) {
	out := make([]Out, len(in))
	first, again := inOrder(in, key)
	begun := false
	for places := range slices.Chunk(first, mostTogether) {
		asked := make([]In, len(places))
		for i, place := range places {
			asked[i] = in[place]
		}
		answers, err := many(asked)
		if err != nil {
			return nil, partly(begun, err)
		}
		begun = true
		for i, place := range places {
			out[place] = answers[i]
		}
	}
	for _, place := range again {
		answer, err := alone(in[place])
		if err != nil {
			return nil, partly(begun, err)
		}
		out[place] = answer
	}
	return out, nil
}

// inOrder is the places of the elements in the order of their keys, the first of each key apart from others.
func inOrder[In any](in []In, key func(In) dialect.Key) (first, again []int) {
	places := make([]int, len(in))
	for i := range in {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return compare(row(key(in[a])), row(key(in[b]))) })
	for i, place := range places {
		if i > 0 && row(key(in[place])) == row(key(in[places[i-1]])) {
			again = append(again, place)
		} else {
			first = append(first, place)
		}
	}
	return first, again
}

func compare(a, b dialect.Key) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Slot, b.Slot))
}

// row is the key as the server compares it: it doesn't mind spaces at a name's end.
func row(k dialect.Key) dialect.Key {
	k.Name = strings.TrimRight(k.Name, " ")
	return k
}

// partlyError is Unknown: a statement failed, or its answer didn't fit, when others of the same call were committed.
type partlyError struct{ error }

func (e partlyError) Unwrap() error { return e.error }

func partly(begun bool, err error) error {
	if begun && err != nil {
		return partlyError{err}
	}
	return err
}
