package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/sqllock/inspect"
)

// The parts of the pages that change. Each is the id of an element and the name of a template.
var (
	listParts = []string{"problem", "summary", "tabs", "rows", "pager"}
	lockParts = []string{"problem", "status", "holders", "queue", "past"}
)

const (
	// maxStreams is how many pages may be updated at the same time.
	maxStreams = 1000

	// writeTimeout is how long a browser may take to accept an update.
	writeTimeout = 30 * time.Second
)

// live sends the parts of a page that change, as server-sent events: now, and after each reading of
// the database.
func (h *handler) live(w http.ResponseWriter, r *http.Request, v visitor) {
	defer h.streams.Add(-1)
	if h.streams.Add(1) > maxStreams {
		h.fail(w, r, http.StatusServiceUnavailable, "Too many pages are open.")
		return
	}
	s := h.streamOf(r)
	out := http.NewResponseController(w)
	defer func() { _ = out.SetWriteDeadline(time.Time{}) }()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx, which would collect the events otherwise
	ctx := r.Context()
	leave := s.watcher.view()
	defer leave()
	var sent []byte
	for last, err := s.watcher.fresh(ctx); err == nil; last, err = s.watcher.after(ctx, last) {
		if user, level := h.Access(r); user != v.User || level != v.Level {
			return // the browser asks again, and gets what it may see now
		}
		text := last.cache.once(fmt.Sprint(s.key, "\x00", v.Level), func() []byte { return s.render(last, v) })
		// The WriteTimeout of the server is for short answers. Not every ResponseWriter can change
		// it.
		_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
		switch {
		case text == nil:
			return
		case bytes.Equal(text, sent):
			_, err = fmt.Fprint(w, ": nothing has changed\n\n") // finds out whether the browser is still there
		default:
			_, err = fmt.Fprintf(w, "retry: 2000\nid: %s\ndata: %s\n\n", strconv.FormatInt(last.number, 10), text)
		}
		sent = text
		if err != nil || out.Flush() != nil {
			return
		}
	}
}

// stream is what a page is updated with.
type stream struct {
	watcher *watcher
	key     string // of the page
	render  func(r *reading, v visitor) []byte
}

// streamOf returns the updates that a request asks for.
func (h *handler) streamOf(r *http.Request) stream {
	values := r.URL.Query()
	if name := values.Get("name"); name != "" {
		return stream{h.held, "lock\x00" + name, func(r *reading, v visitor) []byte {
			return h.parts(lockParts, h.lockView(name, r, v))
		}}
	}
	q := queryOf(values)
	return stream{h.watcherOf(q), "list\x00" + q.URL(), func(r *reading, v visitor) []byte {
		return h.parts(listParts, h.listView(q, r, v))
	}}
}

// detailsOf returns what a reading says about a name.
func detailsOf(name string, r *reading) *inspect.Details {
	if r.Snapshot == nil {
		return &inspect.Details{Name: name}
	}
	return r.Show(name)
}
