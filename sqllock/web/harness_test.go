package web

import (
	"bytes"
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// site is a handler on a database in memory, as one user sees it.
type site struct {
	t     *testing.T
	db    *sqllocktest.Dialect
	locks *sqllock.Client // of the handler
	http.Handler
	log bytes.Buffer

	mu   sync.Mutex
	user visitor
}

// visit runs f in a synctest bubble. The user may break locks.
func visit(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	visitWith(t, Options{Prefix: "/locks"}, f)
}

func visitWith(t *testing.T, opts Options, f func(t *testing.T, s *site)) {
	t.Helper()
	testkit.Bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		s := &site{t: t, db: db, locks: testkit.Client(t, db, "the page"), user: visitor{"anna", LevelBreak}}
		opts.Logger = slog.New(slog.NewTextHandler(&s.log, nil))
		opts.Access = func(*http.Request) (string, Level) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.user.User, s.user.Level
		}
		s.Handler = New(s.locks, &opts)
		f(t, s)
	})
}

// as makes somebody else the user.
func (s *site) as(user string, level Level) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = visitor{user, level}
}

// request sends a request. The target is relative to the pages, as links are.
func (s *site) request(method, target string, body io.Reader, edits ...func(*http.Request)) *httptest.ResponseRecorder {
	s.t.Helper()
	base, err := url.Parse("http://example.org/locks/")
	if err != nil {
		s.t.Fatal(err)
	}
	ref, err := url.Parse(target)
	if err != nil {
		s.t.Fatalf("the link %q: %v", target, err)
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, base.ResolveReference(ref).String(), body)
	for _, edit := range edits {
		edit(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// get returns the page at an address, and checks the status.
func (s *site) get(target string, status int) string {
	s.t.Helper()
	w := s.request(http.MethodGet, target, nil)
	if w.Code != status {
		s.t.Errorf("%s has status %d, want %d: %s", target, w.Code, status, w.Body)
	}
	return w.Body.String()
}

// wants checks that a page has these texts, as a reader sees them.
func (s *site) wants(page string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(page), text) {
			s.t.Errorf("there is no %q in %s", text, page)
		}
	}
}

// hold takes a lock in a process of its own.
func (s *site) hold(name, holder, note string) *sqllock.Lock {
	s.t.Helper()
	var opts []any
	if note != "" {
		opts = append(opts, sqllock.WithNote(note))
	}
	return testkit.MustTry(s.t, testkit.Client(s.t, s.db, holder), name, opts...)
}

// holdRaw takes a lock whose name package sqllock would refuse, as another program may have.
func (s *site) holdRaw(name string) {
	s.t.Helper()
	lease := dialect.Lease{ID: "raw " + name, Holder: "another program", TTL: sqllock.MaxTTL}
	if err := s.db.CreateLease(s.t.Context(), lease); err != nil {
		s.t.Fatal(err)
	}
	grants, err := s.db.Acquire(s.t.Context(), []dialect.Request{{
		Key: dialect.Key{Name: name}, LeaseID: lease.ID, Owner: lease.ID,
	}})
	if err != nil || !grants[0].Granted {
		s.t.Fatal(grants, err)
	}
}

// wait waits for a lock in a process of its own until the test ends.
func (s *site) wait(c *sqllock.Client, name string) {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if lock, err := c.Acquire(ctx, name, sqllock.Fair()); err == nil {
			_ = lock.Release(context.WithoutCancel(ctx))
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
	})
}
