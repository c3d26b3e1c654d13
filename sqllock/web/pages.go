package web

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// refreshWithout is after how many seconds a page is loaded again where there is no JavaScript, if
// it isn't updated less often anyway.
const refreshWithout = 5

// visitTimeout is how long a visitor waits for the database, besides the reading for all.
const visitTimeout = 5 * time.Second

// fill sets what depends on the visitor and on the reading.
func (f *frame) fill(h *handler, v visitor, r *reading, title, live string) {
	f.visitor, f.Title, f.Live, f.At = v, title, live, r.at
	f.Refresh = max(refreshWithout, int(math.Ceil(h.RefreshEvery.Seconds())))
	switch {
	case r.err != nil && r.Snapshot == nil:
		f.Problem = "The locks can't be read: the database doesn't answer. The server's log says why."
	case r.err != nil:
		f.Problem = fmt.Sprintf("The database doesn't answer. This is how it was at %s. The server's log says why.",
			r.at.UTC().Format(time.TimeOnly+" UTC"))
	}
}

// watcherOf returns the watcher that a list needs.
func (h *handler) watcherOf(q query) *watcher {
	if q.Show == showAll {
		return h.all
	}
	return h.held
}

// list serves the list of locks.
func (h *handler) list(w http.ResponseWriter, r *http.Request, v visitor) {
	q := queryOf(r.URL.Query())
	last, err := h.watcherOf(q).fresh(r.Context())
	if err != nil {
		return // the visitor has gone
	}
	h.render(w, statusOf(last), "list.html", h.listView(q, last, v))
}

// statusOf returns the status of a page that shows a reading.
func statusOf(r *reading) int {
	if r.err != nil {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func (h *handler) listView(q query, r *reading, v visitor) *listView {
	view := q.view(r)
	view.fill(h, v, r, "Locks", liveURL(q.values()))
	return view
}

// lock serves the page of a name.
func (h *handler) lock(w http.ResponseWriter, r *http.Request, v visitor) {
	name := r.URL.Query().Get("name")
	if name == "" {
		h.fail(w, r, http.StatusBadRequest, "The address names no lock.")
		return
	}
	last, err := h.held.fresh(r.Context())
	if err != nil {
		return
	}
	view := h.lockView(name, last, v)
	if last.err == nil {
		h.addBroken(r.Context(), view.Details)
	}
	view.Told, _ = strconv.ParseInt(r.URL.Query().Get("broken"), 10, 64)
	h.render(w, statusOf(last), "lock.html", view)
}

func (h *handler) lockView(name string, r *reading, v visitor) *lockView {
	view := &lockView{Details: detailsOf(name, r), Past: h.history.of(name)}
	view.fill(h, v, r, name, liveURL(url.Values{"name": {name}}))
	return view
}

// addBroken reads what was broken before. That it can't is no reason not to show the rest.
func (h *handler) addBroken(ctx context.Context, d *inspect.Details) {
	if sqllock.CheckName(d.Name) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	if err := d.ReadBroken(ctx, h.locks); err != nil || d.BrokenUnread != "" {
		h.Logger.Warn("sqllock: the breaks of a lock can't be read for the page", "lock", d.Name,
			"error", d.BrokenUnread)
		d.BrokenUnread = unreadBreaks
	}
}

// liveURL returns the address of the updates of the page with these parameters.
func liveURL(values url.Values) string { return "live?" + values.Encode() }
