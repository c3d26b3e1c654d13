package web

import (
	"hash/fnv"
	"net/url"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// frame is what every page has around its content.
type frame struct {
	visitor
	Title   string
	Live    string // where updates come from; empty if there are none
	Refresh int    // seconds after which a browser without JavaScript loads the page again
	Problem string // what keeps the page from being current
	At      time.Time
}

// rowsPerPage is how many locks a page of the list has.
const rowsPerPage = 200

// listView is the list of locks.
type listView struct {
	frame
	Query   query
	Kinds   []sqllock.Kind
	Tabs    []tab
	Columns []column
	Rows    []row
	Found   int // on all pages
	From    int // the number of the first row
	Pages   int
	More    bool // there are more locks than are read
}

// tab is a filter that can be chosen.
type tab struct {
	Label   string
	URL     string
	Count   int
	Current bool
	Alarm   bool
}

// column is a column of the list.
type column struct {
	Label   string
	Class   string
	URL     string // sorts by it; empty if nothing does
	Current string // its aria-sort, if the list is sorted by it
}

// row is a lock in the list.
type row struct {
	inspect.Lock
	Key   string // the same for the same holder of the same lock
	Stuck bool
	At    time.Time
}

// tabs are the filters, in their order.
var tabs = []struct{ show, label string }{
	{showHeld, "Held"}, {showWaited, "Waited for"}, {showStuck, "Stuck"}, {showAll, "All"},
}

// columns are those of the list.
var columns = []struct{ label, class, sort, direction string }{
	{"Name", "", sortName, "ascending"},
	{"Kind", "", "", ""},
	{"Holder", "", sortHolder, "ascending"},
	{"Held for", "num", sortSince, "descending"},
	{"Lease left", "num", sortLeft, "ascending"},
	{"Waiters", "num", sortWaiters, "descending"},
	{"Fence", "num", "", ""},
	{"Note", "", "", ""},
}

// view returns the list that a query asks for.
func (q query) view(r *reading) *listView {
	v := &listView{Query: q, Kinds: kinds}
	v.At = r.at
	for _, c := range columns {
		col := column{Label: c.label, Class: c.class}
		if c.sort != "" {
			col.URL = q.sorted(c.sort).URL()
		}
		if q.Sort == c.sort {
			col.Current = c.direction
		}
		v.Columns = append(v.Columns, col)
	}
	f := found{counts: map[string]int{}}
	if r.Snapshot != nil {
		f, v.More = q.find(r.Snapshot, r.at), r.More
	}
	for _, t := range tabs {
		one := tab{Label: t.label, URL: q.showing(t.show).URL(), Count: f.counts[t.show], Current: q.Show == t.show}
		if t.show == showAll && q.Show != showAll {
			one.Count = -1 // it isn't known: what nobody holds isn't read
		}
		one.Alarm = t.show == showStuck && one.Count > 0
		v.Tabs = append(v.Tabs, one)
	}
	v.Found = len(f.locks)
	v.Pages = max((v.Found+rowsPerPage-1)/rowsPerPage, 1)
	v.Query.Page = min(q.Page, v.Pages)
	first := (v.Query.Page - 1) * rowsPerPage
	v.From = min(first+1, v.Found)
	for _, l := range f.locks[first:min(first+rowsPerPage, v.Found)] {
		v.Rows = append(v.Rows, row{Lock: l, Key: keyOf(l), Stuck: l.Stuck(r.at, stuckAfter), At: r.at})
	}
	return v
}

// keyOf identifies a row, so that the script replaces no more than what has changed.
func keyOf(l inspect.Lock) string {
	sum := fnv.New64a()
	for _, part := range []string{l.Name, string(l.Kind), l.KindText(), l.Holder} {
		_, _ = sum.Write([]byte(part + "\x00"))
	}
	return strconv.FormatUint(sum.Sum64(), 36) + "-" + strconv.FormatInt(l.Fence, 36)
}

// To returns the number of the last row.
func (v *listView) To() int { return v.From + max(len(v.Rows)-1, 0) }

// lockView is the page of a name.
type lockView struct {
	frame
	*inspect.Details
	Past []acquisition
	Told int64 // the fence of a break that the visitor is told of
}

// lockURL returns the address of a lock's page.
func lockURL(name string) string { return "lock?" + url.Values{"name": {name}}.Encode() }

// breakView is the page that asks whether to break a lock.
type breakView struct {
	frame
	Name   string
	Lock   inspect.Lock
	Gone   bool   // nobody holds it with that fence any more
	Token  string // proves that the form comes from this page
	Wrong  string // why nothing was broken
	Typed  string
	Reason string
	Alive  bool // the box was ticked
}

// failure is a page that says that something went wrong.
type failure struct {
	frame
	Text string
}
