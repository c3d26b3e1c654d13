package servers

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestServers checks that every engine can be provided, that its databases are separate and gone
// after the test, and that errors are in its log.
func TestServers(t *testing.T) {
	begin := time.Now()
	Every(t, func(t *testing.T, s *Server) {
		t.Logf("%s by %s after %v", s.Engine, s.Provider, time.Since(begin).Round(time.Millisecond))
		if s.engine.embedded {
			if u := s.Database(t); !strings.HasPrefix(u, "sqlite:///") || s.Database(t) == u {
				t.Errorf("the URL is %s", u)
			}
			return
		}
		var first string
		t.Run("separate", func(t *testing.T) {
			first = s.Database(t)
			execAt(t, s.engine, first, "CREATE TABLE things (id int)")
			execAt(t, s.engine, s.Database(t), "CREATE TABLE things (id int)")
		})
		if err := s.engine.ping(parse(t, first)); err == nil {
			t.Errorf("%s still exists after its test", first)
		}
		t.Run("log", func(t *testing.T) {
			u := parse(t, s.Database(t))
			if text := s.Log(t); strings.Contains(text, "nosuchuser") || strings.Contains(text, "[ERROR]") {
				t.Errorf("the log of a new server has errors or a failed login:\n%s", text)
			}
			u.User = url.UserPassword("nosuchuser", "x")
			if err := s.engine.ping(u); err == nil {
				t.Error("a user that doesn't exist could log in")
			}
			eventually(t, "the log doesn't mention the refused login", func() bool {
				return strings.Contains(s.Log(t), "nosuchuser")
			})
		})
	})
}

func TestSameServerForAll(t *testing.T) {
	first := Start(t, "postgres15")
	if second := Start(t, "postgres15"); first != second {
		t.Error("a second Start returned another server")
	}
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func execAt(t *testing.T, e *engine, u, statement string) {
	t.Helper()
	if err := e.exec(t.Context(), parse(t, u), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func open(t *testing.T, i *Instance) *sql.DB {
	t.Helper()
	db, err := i.local.engine.open(parse(t, i.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func pingWithin(db *sql.DB, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return db.PingContext(ctx)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}
