package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// document is an answer of the JSON API, in the form of the command's --json.
type document struct {
	Locks *[]inspect.Lock  `json:"locks,omitempty"`
	Lock  *inspect.Details `json:"lock,omitempty"`
	More  bool             `json:"more,omitempty"` // there are more locks than are read
	Error *problem         `json:"error,omitempty"`
}

// problem is what went wrong.
type problem struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// What visitors are told instead of the database's own words, which are for the log.
const (
	unread       = "the database doesn't answer; the server's log says why"
	unreadBreaks = "what was broken before can't be read; the server's log says why"
)

// apiList serves the list. It has the parameters of the page, and no pages.
func (h *handler) apiList(w http.ResponseWriter, r *http.Request, _ visitor) {
	q := queryOf(r.URL.Query())
	last, err := h.watcherOf(q).fresh(r.Context())
	switch {
	case err != nil:
		return
	case last.err != nil:
		h.fail(w, r, http.StatusServiceUnavailable, unread)
		return
	}
	locks := q.find(last.Snapshot, last.at).locks
	if locks == nil {
		locks = []inspect.Lock{}
	}
	writeJSON(w, http.StatusOK, document{Locks: &locks, More: last.More})
}

// apiNames is the beginning of the paths that name a lock.
const apiNames = "/api/locks/"

// apiNamed serves a name that stands in the path.
func (h *handler) apiNamed(w http.ResponseWriter, r *http.Request, _ visitor) {
	_, escaped, _ := strings.Cut(r.URL.EscapedPath(), apiNames)
	name, err := url.PathUnescape(escaped)
	if err != nil {
		h.fail(w, r, http.StatusBadRequest, "the address isn't a lock's name, escaped as in a path")
		return
	}
	h.apiName(w, r, name)
}

// apiLock serves a name that is a parameter.
func (h *handler) apiLock(w http.ResponseWriter, r *http.Request, _ visitor) {
	h.apiName(w, r, r.URL.Query().Get("name"))
}

func (h *handler) apiName(w http.ResponseWriter, r *http.Request, name string) {
	if err := sqllock.CheckName(name); err != nil {
		h.fail(w, r, http.StatusBadRequest, strings.TrimPrefix(err.Error(), "sqllock: "))
		return
	}
	last, err := h.held.fresh(r.Context())
	switch {
	case err != nil:
	case last.err != nil:
		h.fail(w, r, http.StatusServiceUnavailable, unread)
	default:
		found := last.Show(name)
		h.addBroken(r.Context(), found)
		writeJSON(w, http.StatusOK, document{Lock: found})
	}
}

// writeJSON writes an answer of the API. Browsers show it as text, never as a page.
func writeJSON(w http.ResponseWriter, status int, answer document) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(answer) //nolint:errchkjson // the visitor may have gone
}
