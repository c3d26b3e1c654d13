package web

import (
	"cmp"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// Level is what a user may do.
type Level int

// The levels. Each includes those before it.
const (
	LevelNone  Level = iota // nothing
	LevelRead               // see the locks
	LevelBreak              // take locks away from their holders
)

// Options are the options of [New]. The zero value of each field is its default.
type Options struct {
	// Prefix is the path under which the handler is mounted, such as "/locks". It is left empty if
	// the handler is at the root, or behind [http.StripPrefix].
	Prefix string

	// Access returns who sends a request and what that user may do. The name is shown on the page
	// and recorded with each break. While a page is open, Access is called again before each update
	// with the page's request. By default everybody may read, and nobody may break.
	Access func(r *http.Request) (user string, level Level)

	// Logger receives breaks, with the user, and failures to read the database. The default is
	// [slog.Default].
	Logger *slog.Logger

	// RefreshEvery is how often the database is read while somebody looks at a page. The default is
	// 2 seconds, and less than 100 ms counts as that. If reading takes more than a twentieth of
	// that, the database is read less often.
	RefreshEvery time.Duration

	// Metrics is served as /metrics, to users who may read. By default there is no such page.
	Metrics http.Handler
}

const (
	defaultRefresh = 2 * time.Second
	minRefresh     = 100 * time.Millisecond
)

// New returns a handler for the pages that the package comment lists. It reads the locks with the
// Client, and breaks them with it. opts may be nil, which means the defaults.
//
// A goroutine reads the database while somebody looks at a page. It ends when nobody does, so there
// is nothing to close. Close the Client after the server has been shut down.
func New(locks *sqllock.Client, opts *Options) http.Handler {
	h := &handler{locks: locks}
	if opts != nil {
		h.Options = *opts
	}
	h.Prefix = strings.TrimSuffix(h.Prefix, "/")
	h.Logger = cmp.Or(h.Logger, slog.Default())
	if h.Access == nil {
		h.Access = func(*http.Request) (string, Level) { return "", LevelRead }
	}
	h.RefreshEvery = max(cmp.Or(h.RefreshEvery, defaultRefresh), minRefresh)
	h.history = newHistory()
	h.held, h.all = h.newWatcher(false), h.newWatcher(true)
	return h
}

// handler serves the pages.
type handler struct {
	Options
	locks   *sqllock.Client
	crossed http.CrossOriginProtection
	history *history

	held, all *watcher     // of the locks that are held, and of all
	streams   atomic.Int64 // how many pages are being updated
}

// visitor is who sends a request.
type visitor struct {
	User  string
	Level Level
}

// MayBreak reports whether the visitor may break locks.
func (v visitor) MayBreak() bool { return v.Level >= LevelBreak }

// page answers a request for a path.
type page func(h *handler, w http.ResponseWriter, r *http.Request, v visitor)

// pages are the pages by path; all are for GET and HEAD.
var pages = map[string]page{
	"/":          (*handler).list,
	"/lock":      (*handler).lock,
	"/live":      (*handler).live,
	"/break":     (*handler).confirm,
	"/api/locks": (*handler).apiList,
	"/api/lock":  (*handler).apiLock,
	"/metrics":   (*handler).metrics,
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	path, ours := strings.CutPrefix(r.URL.EscapedPath(), h.Prefix)
	switch {
	case ours && path == "" && h.Prefix != "": // links are relative, so the slash at the end matters
		http.Redirect(w, r, h.Prefix+"/", http.StatusPermanentRedirect)
		return
	case !ours || path != "" && path[0] != '/':
		h.fail(w, r, http.StatusNotFound, "There is no such page.")
		return
	}
	path = cmp.Or(path, "/")
	if path == "/healthz" {
		h.healthz(w, r)
		return
	}
	if serveAsset(w, r, path) {
		return
	}
	v := visitor{}
	if v.User, v.Level = h.Access(r); v.Level < LevelRead {
		h.fail(w, r, http.StatusForbidden, "You may not see the locks.")
		return
	}
	h.route(w, r, v, path)
}

// route calls the page for a path.
func (h *handler) route(w http.ResponseWriter, r *http.Request, v visitor, path string) {
	serve := pages[path]
	if strings.HasPrefix(path, apiNames) {
		serve = (*handler).apiNamed
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case serve == nil:
		h.fail(w, r, http.StatusNotFound, "There is no such page.")
	case path == "/break" && r.Method == http.MethodPost:
		h.breakLock(w, r, v)
	case !safe:
		w.Header().Set("Allow", "GET, HEAD")
		h.fail(w, r, http.StatusMethodNotAllowed, "This page is only for reading.")
	default:
		serve(h, w, r, v)
	}
}

// metrics serves Options.Metrics.
func (h *handler) metrics(w http.ResponseWriter, r *http.Request, _ visitor) {
	if h.Metrics == nil {
		h.fail(w, r, http.StatusNotFound, "There are no metrics here.")
		return
	}
	h.Metrics.ServeHTTP(w, r)
}

// secure sets the headers that every response has.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "same-origin") // the names of locks are in URLs
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}
