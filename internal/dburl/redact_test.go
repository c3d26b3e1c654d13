package dburl

import (
	"net/url"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                      "",
		"postgres://u@h/db?sslmode=disable":     "postgres://u@h/db?sslmode=disable",
		"postgres://h:5432/db":                  "postgres://h:5432/db",
		"postgres://[::1]:5432/db":              "postgres://[::1]:5432/db",
		"postgres://u:pw@h:5432/db?a=b":         "postgres://u:xxxxx@h:5432/db?a=b",
		"postgres://u:p@s/s?w#d@h/db":           "postgres://u:xxxxx@h/db",
		"postgres://u:pw":                       "postgres://u:xxxxx",
		"postgres:/u:pw@h/db":                   "postgres:xxxxx@h/db",
		"u:pw@h/db":                             "u:xxxxx@h/db",
		"postgres://u%3Apw@h/db":                "postgres://u%3Axxxxx@h/db",
		"postgres://h/db?password=pw&user=u":    "postgres://h/db?password=xxxxx&user=u",
		"postgres://h/db?pass%77ord=p;w&user=u": "postgres://h/db?pass%77ord=xxxxx&user=u",
		"postgres://h/db?SSLPassword=a&b&c":     "postgres://h/db?SSLPassword=xxxxx",
		"host=h password='p w' user=u":          "host=h password=xxxxx user=u",
		"host=h password=pw":                    "host=h password=xxxxx",
		"mysql://u:pw@tcp(h:3306)/db":           "mysql://u:xxxxx@tcp(h:3306)/db",
		"mysql://tcp(h:3306)/db":                "mysql://tcp(h:3306)/db",
		"mysql://u:p)w@unix(/run/s)/db":         "mysql://u:xxxxx@unix(/run/s)/db",
		"sqlite:///home/me@work/a.db":           "sqlite:///home/me@work/a.db",
		"sqlite://a.db?_busy_timeout=5":         "sqlite://a.db?_busy_timeout=5",
		"psotgres://u:pw@h/db":                  "psotgres://u:xxxxx@h/db",
	} {
		if got := Redact(raw); got != want {
			t.Errorf("Redact(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestLeaks(t *testing.T) {
	const raw = "postgres://u:hun%24ter/2@h/db"
	for text, want := range map[string]bool{
		`invalid port ":hun%24ter" after host`: true,
		`near "n$te"`:                          true,
		"invalid port":                         false,
	} {
		if Leaks(text, raw) != want {
			t.Errorf("Leaks(%q) = %v", text, !want)
		}
	}
}

// Wherever a password may stand, raw or encoded and whatever it consists of, none of it is left.
func FuzzRedact(f *testing.F) {
	for _, seed := range []string{"hunter2", "p@ss", "a/b", "a?b=c", "a&user=b", "'", `\'`, "a b", "%", "%3a", "://", ")@tcp(h)/", "=", "é"} {
		f.Add(seed)
	}
	const mark = "SECRET"
	f.Fuzz(func(t *testing.T, password string) {
		password = mark + password + mark
		libpq := "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password) + "'"
		for _, raw := range []string{
			"postgres://u:" + password + "@h/db?sslmode=disable",
			"postgres://u:" + url.QueryEscape(password) + "@h:1/db",
			"postgres://u:" + url.PathEscape(password) + "@h:1/db?a=b@c",
			"mysql://u:" + password + "@tcp(h:3306)/db?tls=true",
			"mysql:/u:" + password + "@h/db",
			"u:" + password + "@h/db",
			"://u:" + password + "@",
			"postgres://h/db?user=u&password=" + url.QueryEscape(password) + "&sslmode=disable",
			"postgres://h/db?sslpassword=" + url.QueryEscape(password),
			"host=h user=u password=" + libpq + " dbname=d",
			"password=" + url.QueryEscape(password),
		} {
			got := Redact(raw)
			if strings.Contains(got, mark) {
				t.Errorf("Redact(%q) = %q", raw, got)
			}
		}
	})
}
