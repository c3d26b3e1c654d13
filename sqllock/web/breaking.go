package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// tokenCookie is sent back with the form by the page that the form is on, and by no other site.
const tokenCookie = "sqllock_form" //nolint:gosec // the name of a cookie, not a secret

const (
	// breakTimeout is how long a break waits for a transaction that the holder guards.
	breakTimeout = 10 * time.Second

	maxForm = 16 << 10 // bytes
)

// confirm shows the holder and asks whether to break the lock.
func (h *handler) confirm(w http.ResponseWriter, r *http.Request, v visitor) {
	if !v.MayBreak() {
		h.fail(w, r, http.StatusForbidden, "You may see the locks, but not break them.")
		return
	}
	values := r.URL.Query()
	fence, _ := strconv.ParseInt(values.Get("fence"), 10, 64)
	view, status := h.breakView(r.Context(), v, values.Get("name"), fence)
	h.ask(w, r, view, status)
}

// breakView reads the acquisition that is to be broken.
func (h *handler) breakView(ctx context.Context, v visitor, name string, fence int64) (*breakView, int) {
	view := &breakView{Name: name}
	view.visitor, view.Title, view.At = v, "Break "+name, time.Now()
	view.Lock = inspect.Lock{Name: name, Fence: fence}
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	infos, err := h.locks.Holders(ctx, name)
	found, held := inspect.ByFence(inspect.OfAll(infos), fence)
	switch {
	case errors.Is(err, sqllock.ErrInvalid):
		view.Gone, view.Wrong = true, "There can't be a lock of that name."
		return view, http.StatusBadRequest
	case err != nil:
		h.Logger.Warn("sqllock: a lock can't be read for the page", "lock", name, "error", err)
		view.Gone, view.Wrong = true, "The database doesn't answer. The server's log says why."
		return view, http.StatusServiceUnavailable
	case !held:
		view.Gone, view.Wrong = true, "Nothing was broken: nobody holds the lock with that fence any more."
		return view, http.StatusConflict
	}
	view.Lock = found
	return view, http.StatusOK
}

// ask shows the form, with a token that only this page can send back.
func (h *handler) ask(w http.ResponseWriter, r *http.Request, view *breakView, status int) {
	if cookie, err := r.Cookie(tokenCookie); err == nil && len(cookie.Value) == len(rand.Text()) {
		view.Token = cookie.Value // other tabs may have a form, too
	} else {
		view.Token = rand.Text()
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure where there is TLS
			Name: tokenCookie, Value: view.Token, Path: h.Prefix + "/", HttpOnly: true, Secure: r.TLS != nil,
			SameSite: http.SameSiteStrictMode,
		})
	}
	h.render(w, status, "break.html", view)
}

// ownForm returns an error if the request may have been made by another site.
func (h *handler) ownForm(r *http.Request) error {
	if err := h.crossed.Check(r); err != nil {
		return err
	}
	cookie, err := r.Cookie(tokenCookie)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(r.PostFormValue("token"))) != 1 || cookie.Value == "" {
		return errors.New("the token isn't that of the cookie")
	}
	return nil
}

// breakLock breaks the lock that a form names, if everything that the form asks for is there.
func (h *handler) breakLock(w http.ResponseWriter, r *http.Request, v visitor) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := h.ownForm(r)
	switch {
	case err != nil:
		h.Logger.Warn("sqllock: a break was refused, since another site may have sent it", "user", v.User,
			"remote", r.RemoteAddr, "error", err)
		h.fail(w, r, http.StatusForbidden, "Nothing was broken: the request doesn't come from this page, or the page "+
			"is old. Go back to the lock, and try again.")
		return
	case !v.MayBreak():
		h.fail(w, r, http.StatusForbidden, "You may see the locks, but not break them.")
		return
	}
	name := r.PostFormValue("name")
	fence, _ := strconv.ParseInt(r.PostFormValue("fence"), 10, 64)
	view, status := h.breakView(r.Context(), v, name, fence)
	view.Typed, view.Alive = r.PostFormValue("typed"), r.PostFormValue("alive") != ""
	view.Reason = inspect.Printable(strings.TrimSpace(r.PostFormValue("reason")))
	if status == http.StatusOK {
		view.Wrong, status = view.check()
	}
	if status == http.StatusOK {
		view.Wrong, status = h.take(r, view)
	}
	if status != http.StatusOK {
		h.ask(w, r, view, status)
		return
	}
	// The next page shows that nobody holds the lock, and so do all that are open.
	_, _ = h.held.get(r.Context(), 0)
	w.Header().Set("Location", fmt.Sprintf("%s&broken=%d", lockURL(name), fence)) // relative, as all links are
	w.WriteHeader(http.StatusSeeOther)
}

// check returns what is missing for a break, and the status that says so.
func (v *breakView) check() (wrong string, status int) {
	switch {
	case strings.TrimSpace(v.Typed) != v.Name:
		return "Nothing was broken: what you typed is not the lock's name.", http.StatusUnprocessableEntity
	case v.Lock.Alive() && !v.Alive:
		return "Nothing was broken: the holder is alive as far as the database knows. End that process instead, or " +
			"tick the box.", http.StatusUnprocessableEntity
	case len(v.Reason) > sqllock.MaxReasonBytes:
		return "Nothing was broken: the reason is too long.", http.StatusUnprocessableEntity
	}
	return "", http.StatusOK
}

// take breaks the lock. It returns why nothing was broken, and the status that says so.
func (h *handler) take(r *http.Request, view *breakView) (wrong string, status int) {
	ctx, cancel := context.WithTimeout(r.Context(), breakTimeout)
	defer cancel()
	_, err := h.locks.Break(ctx, view.Name, view.Lock.Fence, sqllock.BrokenBy(recorded(view.User)),
		sqllock.WithReason(view.Reason))
	switch {
	case errors.Is(err, sqllock.ErrNotHeld):
		view.Gone = true
		return "Nothing was broken: the lock changed hands meanwhile.", http.StatusConflict
	case err != nil:
		h.Logger.Warn("sqllock: a lock can't be broken", "lock", view.Name, "user", view.User, "error", err)
		return "The lock may not be broken: the database refused it, or a transaction that the holder guards is " +
			"still open. The server's log says which.", http.StatusServiceUnavailable
	}
	h.Logger.Warn("sqllock: a lock was broken by a visitor of the page", "lock", view.Name, "fence", view.Lock.Fence,
		"holder", view.Lock.Holder, "user", view.User, "reason", view.Reason, "remote", r.RemoteAddr)
	return "", http.StatusOK
}

// recorded returns a user's name in a form that can be recorded. It never keeps a break from being
// done.
func recorded(user string) string {
	user = strings.TrimSpace(inspect.Printable(strings.ToValidUTF8(user, "\uFFFD")))
	for len(user) > sqllock.MaxNameBytes {
		_, size := utf8.DecodeLastRuneInString(user)
		user = strings.TrimSpace(user[:len(user)-size])
	}
	return user
}
