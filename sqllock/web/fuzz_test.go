package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// FuzzRequests checks that no request makes the handler panic or fail, and that nothing of a
// request is markup in the answer.
func FuzzRequests(f *testing.F) {
	const markup = "<b7x"
	for _, seed := range []struct{ path, query, form string }{
		{"", "", ""},
		{"", "q=" + markup + "&sort=name", ""},
		{"locks/a", "", ""},
		{"locks/" + markup + ">", "", ""},
		{"lock", "name=" + markup, ""},
		{"api/locks", "q=%zz", ""},
		{"api/locks/%2f..%00", "", ""},
		{"live", "since=-1", ""},
		{"healthz", "", ""},
		{"break", "name=a&fence=1", ""},
		{"break", "name=a&fence=" + markup, ""},
		{"break", "", "name=a&fence=1&typed=a&reason=" + markup},
		{"break", "", "name=" + markup + "&fence=99999999999999999999"},
	} {
		f.Add(seed.path, seed.query, seed.form)
	}
	f.Fuzz(func(t *testing.T, path, query, form string) {
		locks := testkit.Client(t, sqllocktest.New(), "the page")
		handler := New(locks, &Options{
			Prefix: "/locks", Logger: slog.New(slog.DiscardHandler),
			Access: func(*http.Request) (string, Level) { return "anna", LevelBreak },
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // a live page ends with its request
		defer cancel()
		const page = "http://example.org/locks/"
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, page, http.NoBody)
		if form != "" {
			r = httptest.NewRequestWithContext(ctx, http.MethodPost, page, strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", "http://example.org")
		}
		r.URL = &url.URL{Scheme: "http", Host: "example.org", Path: "/locks/" + path, RawQuery: query}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError {
			t.Errorf("%s: %s", r.URL, w.Body)
		}
		if strings.Contains(w.Body.String(), markup) && strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s: markup of the request is in the page: %s", r.URL, w.Body)
		}
	})
}
