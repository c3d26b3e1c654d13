package request

import (
	"testing"
)

// The details in an election's owner tokens are read as they were written, and fit into the
// engines' columns.
func TestTokens(t *testing.T) {
	const column = 64
	for _, req := range []Request{
		{},
		{HandsTo: true},
		{Priority: 7},
		{Priority: MaxPriority},
		{Priority: -MaxPriority},
	} {
		token := req.Token()
		if PriorityOf(token) != req.Priority || HandsTo(token) != req.HandsTo {
			t.Errorf("token %q of %+v is read as another", token, req)
		}
		if len(token) > column {
			t.Errorf("token %q has %d bytes; the columns have %d", token, len(token), column)
		}
	}
	for _, strange := range []string{"", ".", "..", "X.p", "X.p7.p8", "X.7", "Xp7", "X.pmany"} {
		if n := PriorityOf(strange); n != 0 {
			t.Errorf("%q is read as of priority %d", strange, n)
		}
	}
}
