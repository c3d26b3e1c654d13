package sqlite

import (
	"net/url"
	"testing"
)

// Both readers of the parameters read the same: SQLite, like url.PathUnescape, and the driver.
func TestEncode(t *testing.T) {
	for _, value := range []string{"a b", "a+b", "a&b=c#d", "é%"} {
		encoded := encode(url.Values{"vfs": {value}})
		query, err := url.ParseQuery(encoded)
		sqlite, failed := url.PathUnescape(encoded)
		if err != nil || failed != nil || query.Get("vfs") != value || sqlite != "vfs="+value {
			t.Errorf("%q became %s: %q, %q, %v, %v", value, encoded, query.Get("vfs"), sqlite, err, failed)
		}
	}
}
