package web

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// stuckAfter is how long somebody may wait for a lock before the lock counts as stuck. It is the
// default of `sqllock ls --stuck`.
const stuckAfter = time.Minute

// The values of the parameter show.
const (
	showHeld   = "held"
	showWaited = "waited"
	showStuck  = "stuck"
	showAll    = "all" // also locks that nobody holds
)

// The values of the parameter sort.
const (
	sortName    = "name"
	sortHolder  = "holder"
	sortSince   = "since"
	sortLeft    = "left"
	sortWaiters = "waiters"
)

// query is what a list is asked for.
type query struct {
	Text string // part of a name, holder or note; or a pattern with * and ?
	Kind sqllock.Kind
	Show string
	Sort string
	Page int // from 1
}

// maxText is how much of a search text counts. A name has no more bytes.
const maxText = 1000

// queryOf returns the query in the parameters of a URL. What it doesn't know counts as not given.
func queryOf(values url.Values) query {
	q := query{
		Text: strings.TrimSpace(strings.ToValidUTF8(values.Get("q"), "\uFFFD")),
		Kind: sqllock.Kind(values.Get("kind")), Show: values.Get("show"), Sort: values.Get("sort"),
	}
	if len(q.Text) > maxText {
		q.Text = strings.ToValidUTF8(q.Text[:maxText], "")
	}
	if !slices.Contains(kinds, q.Kind) {
		q.Kind = ""
	}
	if !slices.Contains([]string{showWaited, showStuck, showAll}, q.Show) {
		q.Show = showHeld
	}
	if orders[q.Sort] == nil {
		q.Sort = sortName
	}
	q.Page, _ = strconv.Atoi(values.Get("page"))
	q.Page = max(q.Page, 1)
	return q
}

// kinds are the kinds that are listed.
var kinds = []sqllock.Kind{
	sqllock.KindLock, sqllock.KindRWLock, sqllock.KindSemaphore, sqllock.KindElection, sqllock.KindHandOver,
	sqllock.KindOnce, sqllock.KindQuorum,
}

// values returns the parameters of the query, without those that have their defaults.
func (q query) values() url.Values {
	v := url.Values{}
	set := func(name, value, standard string) {
		if value != standard {
			v.Set(name, value)
		}
	}
	set("q", q.Text, "")
	set("kind", string(q.Kind), "")
	set("show", q.Show, showHeld)
	set("sort", q.Sort, sortName)
	set("page", strconv.Itoa(q.Page), "1")
	return v
}

// URL returns the address of the list, relative to all pages.
func (q query) URL() string {
	if encoded := q.values().Encode(); encoded != "" {
		return "./?" + encoded
	}
	return "./"
}

// showing returns the query with another filter, from its first page on.
func (q query) showing(show string) query {
	q.Show, q.Page = show, 1
	return q
}

// sorted returns the query in another order, from its first page on.
func (q query) sorted(by string) query {
	q.Sort, q.Page = by, 1
	return q
}

// OnPage returns the query for another page.
func (q query) OnPage(n int) query {
	q.Page = n
	return q
}

// matches returns a function that reports whether the text and the kind fit a lock.
func (q query) matches() func(l inspect.Lock) bool {
	text := func(string) bool { return true }
	switch low := strings.ToLower(q.Text); {
	case strings.ContainsAny(low, "*?"):
		pattern := inspect.Glob(low)
		text = func(s string) bool { return pattern(strings.ToLower(s)) }
	case low != "":
		text = func(s string) bool { return strings.Contains(strings.ToLower(s), low) }
	}
	return func(l inspect.Lock) bool {
		return (q.Kind == "" || l.Kind == q.Kind) && (text(l.Name) || text(l.Holder) || text(l.Note))
	}
}

// shows reports whether the filter fits a lock.
func shows(show string, l inspect.Lock, now time.Time) bool {
	switch show {
	case showWaited:
		return l.Waiters > 0
	case showStuck:
		return l.Stuck(now, stuckAfter)
	case showAll:
		return true
	}
	return l.State == sqllock.StateHeld || l.State == sqllock.StateExpired
}

// orders are the orders of a list. Locks that are equal stay in the order of their names.
var orders = map[string]func(a, b inspect.Lock) int{
	sortName:    func(a, b inspect.Lock) int { return 0 },
	sortHolder:  func(a, b inspect.Lock) int { return cmp.Compare(a.Holder, b.Holder) },
	sortSince:   func(a, b inspect.Lock) int { return a.Since.Compare(b.Since) }, // the longest first
	sortLeft:    func(a, b inspect.Lock) int { return cmp.Compare(a.RemainingMS, b.RemainingMS) },
	sortWaiters: func(a, b inspect.Lock) int { return cmp.Compare(b.Waiters, a.Waiters) }, // the most first
}

// found are the locks that a query has found.
type found struct {
	locks  []inspect.Lock // in the order that was asked for
	counts map[string]int // how many there would be, by filter
}

// find applies the query.
func (q query) find(s *inspect.Snapshot, now time.Time) found {
	f := found{counts: map[string]int{}}
	matches := q.matches()
	for _, l := range s.Locks {
		if !matches(l) {
			continue
		}
		for _, show := range []string{showHeld, showWaited, showStuck, showAll} {
			if shows(show, l, now) {
				f.counts[show]++
			}
		}
		if shows(q.Show, l, now) {
			f.locks = append(f.locks, l)
		}
	}
	if q.Sort != sortName {
		slices.SortStableFunc(f.locks, orders[q.Sort])
	}
	return f
}
