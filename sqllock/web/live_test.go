package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// viewer is a browser that gets the updates of a page.
type viewer struct {
	*httptest.ResponseRecorder
	mu     sync.Mutex
	events []map[string]string
	leave  context.CancelFunc
	gone   chan struct{}
}

// Write collects the events.
func (v *viewer) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for line := range bytes.Lines(p) {
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			var event map[string]string
			if err := json.Unmarshal(data, &event); err != nil {
				return 0, err
			}
			v.events = append(v.events, event)
		}
	}
	return len(p), nil
}

// seen returns the events so far.
func (v *viewer) seen() []map[string]string {
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.events
}

// view looks at a page until the viewer leaves.
func (s *site) view(target string) *viewer {
	ctx, cancel := context.WithCancel(s.t.Context())
	v := &viewer{ResponseRecorder: httptest.NewRecorder(), leave: cancel, gone: make(chan struct{})}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://example.org/locks/live?"+target, nil)
	go func() {
		defer close(v.gone)
		s.ServeHTTP(v, r)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-v.gone
	})
	return v
}

// The database is read once for all viewers, while there are viewers.
func TestLive(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		s.hold("a", "first", "")
		before := s.db.Calls(sqllocktest.OpList)
		reads := func() int { return s.db.Calls(sqllocktest.OpList) - before }
		var viewers []*viewer
		for range 50 {
			viewers = append(viewers, s.view(""), s.view("name=a"))
		}
		for _, v := range viewers {
			if events := v.seen(); len(events) != 1 {
				t.Fatalf("%d events at first", len(events))
			}
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := reads(); n < 10 || n > 12 {
			t.Errorf("the database was read %d times in 20 s", n)
		}
		s.hold("appears", "second", "")
		time.Sleep(2 * time.Second)
		for i, v := range viewers {
			events := v.seen()
			last := events[len(events)-1]
			part, text := "rows", "appears"
			if i%2 == 1 {
				part, text = "holders", "first"
			}
			if !strings.Contains(last[part], text) || last["problem"] != "" {
				t.Fatalf("viewer %d gets %q", i, last)
			}
		}
		for _, v := range viewers {
			v.leave()
		}
		synctest.Wait()
		n := reads()
		time.Sleep(time.Hour)
		if reads() != n {
			t.Errorf("the database was read %d times while nobody looked", reads()-n)
		}
	})
}

// A page says that the database doesn't answer, and when it answers again.
func TestLiveOutage(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		v := s.view("")
		v.seen()
		s.db.Outage(true)
		time.Sleep(5 * time.Second)
		events := v.seen()
		if !strings.Contains(events[len(events)-1]["problem"], "doesn&#39;t answer") {
			t.Errorf("the viewer gets %q", events)
		}
		s.db.Outage(false)
		time.Sleep(5 * time.Second)
		if events := v.seen(); events[len(events)-1]["problem"] != "" {
			t.Errorf("the viewer gets %q", events)
		}
	})
}

// After a time in which the database hung, the page is soon current again.
func TestLiveHang(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		v := s.view("")
		v.seen()
		s.db.Delay(sqllocktest.OpList, time.Hour)
		time.Sleep(time.Minute)
		if events := v.seen(); events[len(events)-1]["problem"] == "" {
			t.Error("the viewer doesn't know that the database hangs")
		}
		s.db.Delay(sqllocktest.OpList, 0)
		time.Sleep(readTimeout + 5*time.Second)
		if events := v.seen(); events[len(events)-1]["problem"] != "" {
			t.Errorf("%v later the page isn't current: %q", readTimeout+5*time.Second, events[len(events)-1]["problem"])
		}
	})
}

// Who may no longer read gets nothing more.
func TestLiveAccess(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		v := s.view("")
		n := len(v.seen())
		s.as("", LevelNone)
		time.Sleep(time.Minute)
		select {
		case <-v.gone:
		default:
			t.Error("the updates go on")
		}
		if len(v.seen()) != n {
			t.Error("there was another update")
		}
	})
}

// A database that takes long to read is read less often.
func TestLiveSlow(t *testing.T) {
	visit(t, func(t *testing.T, s *site) {
		s.db.Delay(sqllocktest.OpList, time.Second)
		defer s.db.Delay(sqllocktest.OpList, 0)
		before := s.db.Calls(sqllocktest.OpList)
		v := s.view("")
		time.Sleep(10 * time.Minute)
		v.leave()
		<-v.gone
		if n := s.db.Calls(sqllocktest.OpList) - before; n < 20 || n > 60*10/share+2 {
			t.Errorf("%d readings of 1 s each in 10 minutes", n)
		}
	})
}

// A server's time-outs don't end the updates, and a browser gets them at once.
func TestLiveTimeouts(t *testing.T) {
	db := sqllocktest.New()
	locks := testkit.Client(t, db, "the page")
	server := httptest.NewUnstartedServer(New(locks, &Options{RefreshEvery: minRefresh}))
	const timeout = 300 * time.Millisecond
	server.Config.ReadTimeout, server.Config.WriteTimeout = timeout, timeout
	server.Start()
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/live", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for time.Since(begun) < 3*timeout {
		if !lines.Scan() {
			t.Fatalf("the updates ended after %v: %v", time.Since(begun), lines.Err())
		}
	}
}

// A page is rendered once for all that look at it.
func TestFragments(t *testing.T) {
	var f fragments
	n := 0
	for range 3 {
		for _, key := range []string{"a", "b"} {
			f.once(key, func() []byte { n++; return []byte(key) })
		}
	}
	if n != 2 {
		t.Errorf("rendered %d times", n)
	}
}
