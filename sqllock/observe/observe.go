// Package observe has what the adapters for metrics have in common: how the names of locks become
// labels, and the buckets of histograms. A program that writes its own tracer
// ([github.com/sqllock/sqllock/sqllock.Options].Tracer) can use it too.
package observe

import (
	"strings"
	"sync"
)

// NameGroup returns the group of a lock's name, for a label of a metric: what stands before the
// first slash, with each run of digits, each long hexadecimal number and each UUID replaced by an
// asterisk. So "report/nightly" is in the group "report", and "order-4711" in "order-*". Names of
// locks often contain an id, and a label with an id would make a time series of each.
func NameGroup(name string) string {
	name, _, _ = strings.Cut(name, "/")
	var group strings.Builder
	for name != "" {
		n := strings.IndexFunc(name, func(r rune) bool { return !isWord(r) })
		switch {
		case n < 0:
			n = len(name)
		case n == 0:
			group.WriteByte(name[0])
			name = name[1:]
			continue
		}
		writeWord(&group, name[:n])
		name = name[n:]
	}
	return collapse(group.String())
}

// isWord reports whether the character belongs to a word. All bytes of other scripts do.
func isWord(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80
}

// shortestID is the length from which a word of hexadecimal digits, or one that mixes letters and
// digits, is an id.
const shortestID = 8

// writeWord writes an asterisk for a word that is an id, and otherwise the word with its numbers
// replaced.
func writeWord(group *strings.Builder, word string) {
	digits := strings.ContainsAny(word, "0123456789")
	hex := strings.Trim(word, "0123456789abcdefABCDEF") == ""
	if digits && (hex && len(word) >= 4 || len(word) >= 2*shortestID) || hex && len(word) >= shortestID {
		group.WriteByte('*')
		return
	}
	for rest := word; rest != ""; {
		n := strings.IndexAny(rest, "0123456789")
		if n < 0 {
			group.WriteString(rest)
			return
		}
		group.WriteString(rest[:n])
		group.WriteByte('*')
		rest = strings.TrimLeft(rest[n:], "0123456789")
	}
}

// collapse makes one asterisk of several with only dashes in between, as in a UUID.
func collapse(group string) string {
	for strings.Contains(group, "*-*") {
		group = strings.ReplaceAll(group, "*-*", "*")
	}
	return group
}

// Other is the group of all names beyond the limit of [Groups].
const Other = "other"

// DefaultMax is the limit of [Groups] if it has none.
const DefaultMax = 100

// Groups assigns groups to the names of locks, up to a limit, so that a mistake in the naming of
// locks can't create any number of time series. It is safe for concurrent use.
type Groups struct {
	Of  func(name string) string // returns the group of a name; nil means NameGroup
	Max int                      // the number of groups, after which names are in Other; 0 means DefaultMax

	mu    sync.Mutex
	known map[string]bool
}

// Group returns the group of a name.
func (g *Groups) Group(name string) string {
	of := g.Of
	if of == nil {
		of = NameGroup
	}
	group := of(name)
	if g.Add(group) {
		return group
	}
	return Other
}

// Add makes a group known. It returns false if there are as many groups as may be.
func (g *Groups) Add(group string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known[group] {
		return true
	}
	limit := g.Max
	if limit <= 0 {
		limit = DefaultMax
	}
	if len(g.known) >= limit {
		return false
	}
	if g.known == nil {
		g.known = make(map[string]bool)
	}
	g.known[group] = true
	return true
}

// Buckets returns the upper bounds, in seconds, of the buckets for the duration of a call.
func Buckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

// LongBuckets returns the upper bounds, in seconds, of the buckets for waiting for a lock and
// holding it, which takes from milliseconds to hours.
func LongBuckets() []float64 {
	return []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600}
}
