package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// form is what a visitor fills in to break a lock that is held.
func (s *site) form(name string, fence int64) url.Values {
	return url.Values{
		"name": {name}, "fence": {strconv.FormatInt(fence, 10)}, "typed": {name}, "alive": {"yes"},
		"reason": {"host is gone"},
	}
}

// post sends a form with the cookie and the token of the page that asks, as a browser does that the
// edits may change.
func (s *site) post(edit func(r *http.Request, form url.Values), form url.Values) *httptest.ResponseRecorder {
	s.t.Helper()
	asked := s.request(http.MethodGet, "break?name="+url.QueryEscape(form.Get("name"))+"&fence="+form.Get("fence"), nil)
	var cookie *http.Cookie
	if cookies := asked.Result().Cookies(); len(cookies) == 1 {
		cookie = cookies[0]
		form.Set("token", cookie.Value)
	}
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://example.org/locks/break", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "http://example.org")
	if cookie != nil {
		r.AddCookie(cookie)
	}
	if edit != nil {
		edit(r, form)
	}
	body := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Body, r.ContentLength = body.Body, body.ContentLength
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// A lock is broken with everything that the form asks for, and with nothing less.
func TestBreak(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		lock := s.hold("a/b", "first", "")
		field := func(name, value string) func(*http.Request, url.Values) {
			return func(_ *http.Request, form url.Values) { form.Set(name, value) }
		}
		headers := func(all ...string) func(*http.Request, url.Values) {
			return func(r *http.Request, _ url.Values) {
				for i := 0; i < len(all); i += 2 {
					r.Header.Set(all[i], all[i+1])
				}
			}
		}
		for what, c := range map[string]struct {
			status int
			edit   func(r *http.Request, form url.Values)
		}{
			"another name typed":  {422, field("typed", "a/B")},
			"nothing typed":       {422, field("typed", "")},
			"the box not ticked":  {422, field("alive", "")},
			"a long reason":       {422, field("reason", strings.Repeat("x", 2000))},
			"another fence":       {409, field("fence", "7")},
			"no fence":            {409, field("fence", "")},
			"no token":            {403, field("token", "")},
			"another token":       {403, field("token", strings.Repeat("A", 26))},
			"too large":           {403, field("reason", strings.Repeat("x", maxForm))},
			"no cookie":           {403, headers("Cookie", "")},
			"from another site":   {403, headers("Sec-Fetch-Site", "cross-site")},
			"from a sibling":      {403, headers("Sec-Fetch-Site", "same-site")},
			"from another origin": {403, headers("Sec-Fetch-Site", "", "Origin", "http://evil.example")},
			"from no origin":      {403, headers("Sec-Fetch-Site", "", "Origin", "null")},
			"an empty token": {403, func(r *http.Request, form url.Values) {
				r.Header.Set("Cookie", tokenCookie+"=")
				form.Set("token", "")
			}},
			"in the address alone": {403, func(r *http.Request, form url.Values) {
				r.URL.RawQuery = form.Encode()
				clear(form)
			}},
		} {
			if w := s.post(c.edit, s.form("a/b", lock.Fence())); w.Code != c.status {
				t.Errorf("%s: %d, want %d: %s", what, w.Code, c.status, w.Body)
			}
		}
		i, err := s.locks.Inspect(t.Context(), "a/b")
		if err != nil || i.Fence != lock.Fence() || i.State != sqllock.StateHeld {
			t.Fatalf("the lock was broken: %+v, %v", i, err)
		}
		s.wants(s.get("lock?name=a%2Fb", http.StatusOK), "Held by <bdi>first</bdi>")
		w := s.post(nil, s.form("a/b", lock.Fence()))
		want := fmt.Sprintf("lock?name=a%%2Fb&broken=%d", lock.Fence())
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Fatalf("%d, %v: %s", w.Code, w.Header(), w.Body)
		}
		s.wants(s.get(want, http.StatusOK), "Broken:", "Nobody holds it.", "anna", "host is gone")
		if strings.Contains(s.get("lock?name=a%2Fb&broken=7", http.StatusOK), "Broken:") {
			t.Error("an address can say that a lock was broken that wasn't")
		}
		for _, part := range []string{
			"lock=a/b", "user=anna", `reason="host is gone"`, fmt.Sprint("fence=", lock.Fence()), "holder=first",
		} {
			if !strings.Contains(s.log.String(), part) {
				t.Errorf("the log has no %s: %s", part, &s.log)
			}
		}
		breaks, err := s.locks.Breaks(t.Context(), "a/b")
		if err != nil || len(breaks) != 1 || breaks[0].By != "anna" || breaks[0].Reason != "host is gone" {
			t.Errorf("recorded is %+v, %v", breaks, err)
		}
		if w := s.post(nil, s.form("a/b", lock.Fence())); w.Code != http.StatusConflict {
			t.Errorf("a lock that nobody holds: %d", w.Code)
		}
	})
}

// Nobody has to say that a dead holder is alive.
func TestBreakDeadHolder(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		lock := s.hold("a", "first", "")
		s.db.ExpireAllLeases()
		page := s.get(fmt.Sprintf("break?name=a&fence=%d", lock.Fence()), http.StatusOK)
		s.wants(page, "its lease has run out")
		if strings.Contains(page, `name="alive"`) {
			t.Error("the form asks about a holder that is dead")
		}
		w := s.post(func(_ *http.Request, f url.Values) { f.Del("alive") }, s.form("a", lock.Fence()))
		if w.Code != http.StatusSeeOther {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
	})
}

// A user's name that can't be recorded as it is doesn't keep the user from breaking a lock.
func TestRecorded(t *testing.T) {
	for user, want := range map[string]string{
		"anna": "anna", " a\nb ": "a\uFFFDb", "\xff": "\uFFFD", "": "",
		strings.Repeat("é", 200): strings.Repeat("é", 127),
	} {
		if got := recorded(user); got != want || got != "" && sqllock.CheckName(got) != nil {
			t.Errorf("%q is recorded as %q, want %q", user, got, want)
		}
	}
}

// The form's cookie is for this page alone. A form that was refused keeps what was filled in.
func TestBreakForm(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		lock := s.hold("a", "first", "")
		address := fmt.Sprintf("break?name=a&fence=%d", lock.Fence())
		cookies := s.request(http.MethodGet, address, nil).Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%d cookies", len(cookies))
		}
		c := cookies[0]
		if c.SameSite != http.SameSiteStrictMode || !c.HttpOnly || c.Path != "/locks/" || len(c.Value) < 20 {
			t.Errorf("the cookie is %v", c)
		}
		again := s.request(http.MethodGet, address, nil, func(r *http.Request) { r.AddCookie(c) })
		if s.wants(again.Body.String(), c.Value); len(again.Result().Cookies()) != 0 {
			t.Error("a second tab makes the form in the first one void")
		}
		form := s.form("a", lock.Fence())
		form.Set("typed", "b")
		s.wants(s.post(nil, form).Body.String(), `value="b"`, `value="host is gone"`, " checked", "not the lock's name")
	})
}

// A break waits for a transaction that the holder guards, but not for ever.
func TestBreakTimeout(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		lock := s.hold("a", "first", "")
		form := s.form("a", lock.Fence())
		ask := s.request(http.MethodGet, fmt.Sprintf("break?name=a&fence=%d", lock.Fence()), nil)
		cookie := ask.Result().Cookies()[0]
		form.Set("token", cookie.Value)
		s.db.Delay(sqllocktest.OpBreak, time.Hour)
		defer s.db.Delay(sqllocktest.OpBreak, 0)
		begun := time.Now()
		r := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost,
			"http://example.org/locks/break", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(cookie)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || time.Since(begun) > 2*breakTimeout {
			t.Errorf("%d after %v: %s", w.Code, time.Since(begun), w.Body)
		}
		s.wants(w.Body.String(), "may not be broken")
	})
}
