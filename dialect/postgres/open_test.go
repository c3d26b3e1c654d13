package postgres

import (
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

func TestOpenSettings(t *testing.T) {
	type parsed struct {
		timeout     time.Duration
		application string
		password    string
	}
	for url, want := range map[string]parsed{
		"postgres://u:p%40ss@127.0.0.1:1/db":                             {10 * time.Second, "sqllock", "p@ss"},
		"postgresql://u@127.0.0.1:1/db?connect_timeout=3":                {3 * time.Second, "sqllock", ""},
		"postgres://u@h1:1,h2:2/db":                                      {2 * time.Second, "sqllock", ""},
		"postgres://u@h1:1,h2:2/db?connect_timeout=3":                    {3 * time.Second, "sqllock", ""},
		"postgres://u@127.0.0.1:1/db?application_name=a&sslmode=disable": {10 * time.Second, "a", ""},
	} {
		config, err := parse(url)
		if err != nil {
			t.Fatal(err)
		}
		got := parsed{config.ConnectTimeout, config.RuntimeParams["application_name"], config.Password}
		if got != want {
			t.Errorf("parse(%q) = %+v, want %+v", url, got, want)
		}
	}
}

// TestOpenFindsThePrimary: among several hosts, a connection is made to one that takes writes,
// unless the URL says otherwise.
func TestOpenFindsThePrimary(t *testing.T) {
	for url, checks := range map[string]bool{
		"postgres://u@h1:1/db":                                   false,
		"postgres://u@h1:1,h2:2/db":                              true,
		"postgres://u@h1:1,h1:2/db?sslmode=disable":              true,
		"postgres://u@h1:1,h2:2/db?target_session_attrs=any":     false,
		"postgres://u@h1:1,h2:2/db?target_session_attrs=standby": true, // the driver's own check
	} {
		config, err := parse(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := config.ValidateConnect != nil; got != checks {
			t.Errorf("parse(%q) checks each connection: %t, want %t", url, got, checks)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	enginetest.OpenRefuses(t, Open, map[string]string{
		"":                                                  "begin with",
		"postgres:/u:hunter2@h/db":                          "begin with",
		"postgrse://u:hunter2@h/db":                         "postgres://",
		"postgres://u:hunter2@h:port/d":                     "port",
		"postgres://u:hun%zzter2@h/db":                      "percent-encoded",
		"postgres://u:hunter2@h/db?sslmode=on":              "sslmode",
		"postgres://u:hunter2@h/db?connect_timeout=x":       "connect_timeout",
		"postgres://u:hunter2@h/db?target_session_attrs=rw": "target_session_attrs",
		"postgres://u:hunter2@h/db?x-migrations-table=t":    "golang-migrate",
	})
}
