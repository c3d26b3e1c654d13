package web

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// links returns the addresses of the locks in a list.
func links(page string) (found []string) {
	for _, m := range regexp.MustCompile(`<th scope="row"><a href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		found = append(found, html.UnescapeString(m[1]))
	}
	return found
}

// names returns the names in a list.
func names(page string) (found []string) {
	for _, link := range links(page) {
		u, _ := url.Parse(link)
		found = append(found, u.Query().Get("name"))
	}
	return found
}

// Every name has a page, to which the list links, and an address in the API. Whatever the name, the
// pages have no script and no style of their own.
func TestHostileNames(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		hostile := []string{
			`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'; alert(1); '`, `javascript:alert(1)`,
			`a/b//c`, `/`, `..`, `.`, `a/../b`, `%2e%2e`, `100% sure`, `%zz`, `a?b#c&d=e`, `a+b c`, `{{.}}`, `\`, "`",
			`ünï/日本語/🔒`, strings.Repeat("long ", 50) + "name",
		}
		for _, name := range hostile {
			s.hold(name, name, name)
		}
		list := s.get("./", http.StatusOK)
		found := links(list)
		if len(found) != len(hostile) {
			t.Fatalf("the list has %d locks, want %d", len(found), len(hostile))
		}
		pages := []string{list}
		for i, name := range names(list) {
			if !slices.Contains(hostile, name) {
				t.Errorf("the list has a lock %q", name)
			}
			page := s.get(found[i], http.StatusOK)
			fence, _, _ := strings.Cut(page[strings.Index(page, `id="break-`)+len(`id="break-`):], `"`)
			pages = append(pages, page, s.get("break?name="+url.QueryEscape(name)+"&fence="+fence, http.StatusOK))
			for _, address := range []string{
				"api/locks/" + url.PathEscape(name), "api/lock?name=" + url.QueryEscape(name),
			} {
				var answer document
				w := s.request(http.MethodGet, "", nil, func(r *http.Request) {
					u, err := url.Parse("http://example.org/locks/" + address) // no client's cleaning of paths
					if err != nil {
						t.Fatal(err)
					}
					r.URL = u
				})
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK ||
					answer.Lock.Name != name || len(answer.Lock.Holders) != 1 || answer.Lock.Holders[0].Holder != name {
					t.Errorf("%s has %d, %s (%v)", address, w.Code, w.Body, err)
				}
			}
		}
		for _, page := range pages {
			if wrong := foreign(page); wrong != "" {
				t.Fatalf("%s in %s", wrong, page)
			}
		}
	})
}

var (
	tags   = regexp.MustCompile(`<[a-zA-Z!][^>]*>`) // in texts and attributes, < and > are escaped
	values = regexp.MustCompile(`"[^"]*"`)
	inline = regexp.MustCompile(`(?i)^<(script|style|img|svg|iframe|object|base)\b|\s(on[a-z]+|style)\s*=`)
	own    = regexp.MustCompile(`^<script src="live\.js\?v=[0-9a-f]+" defer>$`)
)

// foreign returns a tag of a page that could run a script or set a style, but for the page's own.
func foreign(page string) string {
	for _, tag := range tags.FindAllString(page, -1) {
		if inline.MatchString(values.ReplaceAllString(tag, "")) && !own.MatchString(tag) {
			return tag
		}
	}
	return ""
}

// Rows of other programs may have names that package sqllock refuses.
func TestImpossibleNames(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		s.holdRaw("two\nlines")
		s.holdRaw("right\u202eto left")
		list := s.get("./", http.StatusOK)
		s.wants(list, "two\uFFFDlines", "right\uFFFDto left")
		for _, link := range links(list) {
			s.wants(s.get(link, http.StatusOK), "another program")
		}
		s.wants(s.get("break?name=two%0Alines&fence=1", http.StatusBadRequest), "can't be a lock of that name")
		s.get("api/locks/two%0Alines", http.StatusBadRequest)
		s.get("api/locks/%ff", http.StatusBadRequest)
		s.get("lock?name=%ff", http.StatusOK)
		s.get("lock", http.StatusBadRequest)
		s.get("./?q=%ff*&kind=%ff&show=%ff&page=-7&sort=x", http.StatusOK)
	})
}

// Every response has the headers that keep a browser from doing anything but showing the page.
func TestHeaders(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		s.hold("a", "holder", "")
		for _, target := range []string{
			"./", "lock?name=a", "break?name=a", "api/locks", "api/locks/a", "healthz", "nosuch", "style.css",
			"live.js", "../nosuch",
		} {
			w := s.request(http.MethodGet, target, nil)
			policy := w.Header().Get("Content-Security-Policy")
			for _, part := range []string{
				"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'",
				"base-uri 'none'", "form-action 'self'",
			} {
				if !slices.Contains(strings.Split(policy, "; "), part) {
					t.Errorf("%s: the policy %q has no %s", target, policy, part)
				}
			}
			asset := strings.Contains(target, "style") || strings.Contains(target, ".js")
			if w.Header().Get("X-Content-Type-Options") != "nosniff" || strings.Contains(policy, "unsafe") ||
				asset != (w.Header().Get("Cache-Control") != "no-store") || w.Header().Get("Content-Type") == "" {
				t.Errorf("%s: %v", target, w.Header())
			}
		}
	})
}

var addresses = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)

// Links are relative, so the pages work under any path. Nothing but a break can be posted.
func TestPaths(t *testing.T) {
	for prefix, paths := range map[string]map[string]int{
		"": {"/": 200, "/lock?name=a": 200, "/style.css": 200, "/locks/": 404, "//evil.example": 404},
		"/locks": {
			"/locks": 308, "/locks/": 200, "/locks/lock?name=a": 200, "/": 404, "/locksmith": 404, "/lock": 404,
		},
		"/a/b%20/": {"/a/b%20": 308, "/a/b%20/": 200},
	} {
		visitWith(t, Options{Prefix: prefix}, func(t *testing.T, s *site) {
			for path, want := range paths {
				w := s.request(http.MethodGet, "", nil, func(r *http.Request) {
					u, err := url.ParseRequestURI(path) // as the server does
					if err != nil {
						t.Fatal(err)
					}
					r.URL = u
				})
				if w.Code == http.StatusPermanentRedirect && w.Header().Get("Location") == path+"/" {
					continue
				}
				if w.Code != want {
					t.Errorf("under %q, %s has status %d, want %d", prefix, path, w.Code, want)
				}
				for _, m := range addresses.FindAllStringSubmatch(w.Body.String(), -1) {
					if strings.HasPrefix(m[1], "/") || strings.Contains(m[1], ":") {
						t.Errorf("under %q, %s has the link %q", prefix, path, m[1])
					}
				}
			}
		})
	}
	visit(t, func(t *testing.T, s *site) {
		for _, target := range []string{"./", "lock?name=a", "live", "api/locks", "metrics"} {
			w := s.request(http.MethodPost, target, nil)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
				t.Errorf("POST %s: %d", target, w.Code)
			}
		}
		s.get("metrics", http.StatusNotFound)
	})
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "sqllock_locks 1") })
	visitWith(t, Options{Prefix: "/locks", Metrics: metrics}, func(t *testing.T, s *site) {
		s.wants(s.get("metrics", http.StatusOK), "sqllock_locks 1")
	})
}

// Without Access everybody may read and nobody may break. Nobody sees anything without the right
// to.
func TestAccess(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		lock := s.hold("a", "holder", "")
		address := fmt.Sprintf("break?name=a&fence=%d", lock.Fence())
		s.wants(s.get("lock?name=a", http.StatusOK), "Break…", "signed in as")
		s.get(address, http.StatusOK)
		s.as("bert", LevelRead)
		if page := s.get("lock?name=a", http.StatusOK); strings.Contains(page, "break?") {
			t.Errorf("who may only read is offered to break: %s", page)
		}
		s.get(address, http.StatusForbidden)
		s.as("anna", LevelBreak)
		revoked := s.post(func(*http.Request, url.Values) { s.as("anna", LevelRead) }, s.form("a", lock.Fence()))
		if revoked.Code != http.StatusForbidden || !strings.Contains(revoked.Body.String(), "but not break them") {
			t.Errorf("who may only read may break: %d: %s", revoked.Code, revoked.Body)
		}
		s.as("", LevelNone)
		for _, target := range []string{"./", "lock?name=a", address, "live", "api/locks", "api/locks/a", "metrics"} {
			if page := s.get(target, http.StatusForbidden); strings.Contains(page, "holder") {
				t.Errorf("%s shows %s", target, page)
			}
		}
		s.get("healthz", http.StatusOK)
		s.get("style.css", http.StatusOK)
		s.Handler = New(s.locks, &Options{Prefix: "/locks"})
		s.get("lock?name=a", http.StatusOK)
		s.get(address, http.StatusForbidden)
		if lock.Context().Err() != nil {
			t.Error("the lock was broken")
		}
	})
}

// The list is searched, filtered, sorted and cut into pages.
func TestList(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		many := testkit.Client(t, s.db, "worker")
		for i := range 450 {
			testkit.MustTry(t, many, fmt.Sprintf("many/%03d", i))
		}
		s.hold("Report/Nightly", "reports", "of today")
		testkit.MustRelease(t, testkit.MustTry(t, testkit.Client(t, s.db, "x"), "free"))
		partner := testkit.Client(t, s.db, "sync").Semaphore("partner", 3)
		if _, err := partner.TryAcquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.wait(testkit.Client(t, s.db, "second"), "many/007")
		synctest.Wait()
		for target, want := range map[string][]string{
			"./?q=report":        {"Report/Nightly"},
			"./?q=TODAY":         {"Report/Nightly"},
			"./?q=report/*y":     {"Report/Nightly"},
			"./?q=many/?44":      {"many/044", "many/144", "many/244", "many/344", "many/444"},
			"./?q=sync":          {"partner"},
			"./?kind=semaphore":  {"partner"},
			"./?kind=election":   nil,
			"./?show=waited":     {"many/007"},
			"./?show=stuck":      nil,
			"./?show=all&q=free": {"free"},
			"./?q=free":          nil,
			"./?q=nosuch":        nil,
			"./?q=many/0?7&sort=waiters&page=": {
				"many/007", "many/017", "many/027", "many/037", "many/047", "many/057", "many/067", "many/077",
				"many/087", "many/097",
			},
		} {
			if got := names(s.get(target, http.StatusOK)); !slices.Equal(got, want) {
				t.Errorf("%s shows %q, want %q", target, got, want)
			}
		}
		first := s.get("./", http.StatusOK)
		s.wants(first, "1 to 200 of 452 locks", "page 1 of 3", `Waited for <span class="count">1`)
		last := s.get("./?page=3", http.StatusOK)
		s.wants(last, "401 to 452 of 452 locks", "many/449")
		s.wants(s.get("./?page=99", http.StatusOK), "401 to 452 of 452 locks")
		if n := len(names(first)); n != 200 || strings.Contains(first+last, "many/300") {
			t.Errorf("the first page has %d rows", n)
		}
		time.Sleep(2 * time.Minute)
		s.wants(s.get("./?show=stuck", http.StatusOK), "many/007")
	})
}

// The page of a lock shows the holder, the wait-for forest, and what was seen before.
func TestLock(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		first := s.hold("a", "first", "build 7")
		second := testkit.Client(t, s.db, "second")
		testkit.MustTry(t, second, "b")
		s.wait(second, "a")
		s.wait(testkit.Client(t, s.db, "third"), "b")
		synctest.Wait()
		page := s.get("lock?name=a", http.StatusOK)
		s.wants(page, "Held by <bdi>first</bdi>", "1 process waits", "build 7", fmt.Sprint(first.Fence()), "still held")
		_, forest, _ := strings.Cut(page, `<ol class="forest">`)
		order := regexp.MustCompile(`(?s)second.*holds.*lock\?name=b.*<ol class="forest">.*third`)
		if !order.MatchString(forest) {
			t.Errorf("the forest is %s", forest)
		}
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		page = s.get("lock?name=a", http.StatusOK)
		if _, past, _ := strings.Cut(page, `id="past"`); !strings.Contains(past, "first") {
			t.Errorf("the page doesn't know the first holder: %s", past)
		}
		s.wants(s.get("lock?name=nosuch", http.StatusOK), "Nobody holds it.", "Nobody waits.")
	})
}

// The API writes what the commands write.
func TestAPI(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		s.hold("a", "first", "build 7")
		s.hold("b", "second", "")
		var list, one document
		for target, answer := range map[string]*document{"api/locks": &list, "api/locks/a": &one} {
			if err := json.Unmarshal([]byte(s.get(target, http.StatusOK)), answer); err != nil {
				t.Fatal(err)
			}
		}
		read, err := inspect.Read(t.Context(), s.locks, false, 0)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := inspect.Show(t.Context(), s.locks, "a")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*list.Locks, read.Locks) || !reflect.DeepEqual(one.Lock, shown) {
			t.Errorf("%+v, %+v; want %+v, %+v", list.Locks, one.Lock, read.Locks, shown)
		}
		s.wants(s.get("api/locks?q=nosuch", http.StatusOK), `"locks": []`)
		s.db.Outage(true)
		time.Sleep(time.Minute)
		s.wants(s.get("api/locks", http.StatusServiceUnavailable), `"message": "the database doesn't answer`)
		s.db.Outage(false)
	})
}

// While the database doesn't answer, the page shows what it knows and says since when, and /healthz
// says 503.
func TestOutage(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		s.hold("a", "first", "")
		s.get("healthz", http.StatusOK)
		s.get("./", http.StatusOK)
		s.db.Outage(true)
		s.get("healthz", http.StatusOK) // it has answered lately
		time.Sleep(time.Minute)
		s.get("healthz", http.StatusServiceUnavailable)
		page := s.get("./", http.StatusServiceUnavailable)
		s.wants(page, "This is how it was at 00:00:00 UTC", "lock?name=a")
		s.get("lock?name=a", http.StatusServiceUnavailable)
		s.db.Outage(false)
		time.Sleep(3 * time.Second)
		s.get("healthz", http.StatusOK)
		s.get("./", http.StatusOK)
		if n := strings.Count(s.log.String(), "can't be read"); n != 1 {
			t.Errorf("one outage is logged %d times: %s", n, &s.log)
		}
	})
	visit(t, func(t *testing.T, s *site) {
		s.db.Outage(true)
		s.wants(s.get("./", http.StatusServiceUnavailable), "The locks can't be read")
		s.get("lock?name=a", http.StatusServiceUnavailable)
		s.get("break?name=a&fence=1", http.StatusServiceUnavailable)
		s.db.Outage(false)
	})
}

// Whatever is asked for, the database is read once in each RefreshEvery.
func TestReadsOnce(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		before := s.db.Calls(sqllocktest.OpList)
		for range 10 {
			s.get("./", http.StatusOK)
			s.get("lock?name=a", http.StatusOK)
			s.get("api/locks", http.StatusOK)
			s.get("healthz", http.StatusOK)
			time.Sleep(time.Millisecond)
		}
		if n := s.db.Calls(sqllocktest.OpList) - before; n != 1 {
			t.Errorf("the database was read %d times", n)
		}
		time.Sleep(2*time.Second + time.Millisecond)
		s.get("./", http.StatusOK)
		if n := s.db.Calls(sqllocktest.OpList) - before; n != 2 {
			t.Errorf("the database was read %d times, and the page is to be current", n)
		}
	})
}

// The history has a limit for all locks together, and keeps the latest.
func TestHistoryLimit(t *testing.T) {
	h := newHistory()
	begun := time.Now()
	for i := range 3 * maxPast {
		at := begun.Add(time.Duration(i) * time.Second)
		l := inspect.Lock{Name: fmt.Sprint("lock ", i%2), State: sqllock.StateHeld, Fence: int64(i), Since: at}
		h.see(&reading{Snapshot: &inspect.Snapshot{Locks: []inspect.Lock{l}}, at: at})
	}
	past := h.of("lock 1")
	if len(h.past.all) != maxPast || len(h.current) != 1 || len(past) != maxShown {
		t.Errorf("%d, %d and %d are kept", len(h.past.all), len(h.current), len(past))
	}
	if past[0].Fence != 3*maxPast-1 || !past[0].Gone.IsZero() || past[1].Gone.Sub(past[1].Since) != time.Second {
		t.Errorf("the latest are %+v, %+v", past[0], past[1])
	}
}
