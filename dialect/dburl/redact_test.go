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

		// What one reading takes for the user part, another takes for a parameter.
		"postgres://u:pw@h/db?password=Secret@tail":       "postgres://u:xxxxx",
		"postgres://h/db?password=Secret@tail":            "postgres://h/db?password=xxxxx",
		"postgres://h:1/db?password=Secret@tail&user=u":   "postgres://h:xxxxx&user=u",
		"sqlserver://h?password=a b=c;d&user+id=u":        "sqlserver://h?password=xxxxx&user+id=u",
		"sqlserver://h?database=d&Password=a+b&user=u@v":  "sqlserver://h?database=d&Password=xxxxx&user=u@v",
		"host=h password = pw user = u":                   "host=h password = xxxxx user = u",
		"server=h;user id=u;password=a;database=d":        "server=h;user id=u;password=xxxxx;database=d",
		"sqlite://a.db?_pragma=key('pw')&_fk=1":           "sqlite://a.db?_pragma=xxxxx&_fk=1",
		"postgres://h/db?options=-c%20a%3Db&password=p=q": "postgres://h/db?options=-c%20a%3Db&password=xxxxx",
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

// Wherever a password may be, raw or encoded and whatever its characters, none of it remains.
func FuzzRedact(f *testing.F) {
	for _, seed := range []string{
		"hunter2", "p@ss", "a/b", "a?b=c", "a&user=b", "'", `\'`, "a b",
		"%", "%3a", "://", ")@tcp(h)/", "=", "é",
	} {
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
