package mysql

import (
	"errors"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

func TestOpenForms(t *testing.T) {
	for url, want := range map[string]string{
		"mysql://root@127.0.0.1/db":                        "root@tcp(127.0.0.1:3306)/db?timeout=10s",
		"mysql://u:p%40s%2Fs@127.0.0.1:3307/db?timeout=3s": "u:p@s/s@tcp(127.0.0.1:3307)/db?timeout=3s",
		"mariadb://u:p@[::1]:3306/db?tls=true":             "u:p@tcp([::1]:3306)/db?timeout=10s&tls=true",
		"MySQL://u:p@tcp(127.0.0.1:1)/db?loc=Europe%2FBerlin": "u:p@tcp(127.0.0.1:1)/db?" +
			"loc=Europe%2FBerlin&timeout=10s",
		"mysql://u:p%2Bq@unix(/run/mysqld/mysqld.sock)/db": "u:p+q@unix(/run/mysqld/mysqld.sock)/db?timeout=10s",
		"mysql://tcp(127.0.0.1:3306)/db":                   "tcp(127.0.0.1:3306)/db?timeout=10s",
		"mysql://u:p@127.0.0.1/my%20db?connectionAttributes=a:b": "u:p@tcp(127.0.0.1:3306)/my%20db?" +
			"connectionAttributes=a%3Ab&timeout=10s",
		"mysql://root@(127.0.0.1:3307)/db":       "root@tcp(127.0.0.1:3307)/db?timeout=10s",
		"mysql://root@/db":                       "root@tcp(127.0.0.1:3306)/db?timeout=10s",
		"mysql:///db":                            "tcp(127.0.0.1:3306)/db?timeout=10s",
		"mysql://root@tcp/db":                    "root@tcp(127.0.0.1:3306)/db?timeout=10s",
		"mysql://root@unix/db":                   "root@unix(/tmp/mysql.sock)/db?timeout=10s",
		"mysql://root@tcp(h)/db?timeout=3s&":     "root@tcp(h:3306)/db?timeout=3s",
		"mysql://root@h/db?&timeout=3s":          "root@tcp(h:3306)/db?timeout=3s",
		"mysql://root@h/db?parseTime&timeout=3s": "root@tcp(h:3306)/db?timeout=3s",
		"mysql://root@h/db?":                     "root@tcp(h:3306)/db?timeout=10s",
		"mysql://u:p?a=b/c@tcp(h:1)/db?loc=Europe/Berlin": "u:p?a=b/c@tcp(h:1)/db?" +
			"loc=Europe%2FBerlin&timeout=10s",
		"mysql://u@h/db?sql_mode=%27A%2BB%26C%23%27": "u@tcp(h:3306)/db?" +
			"timeout=10s&sql_mode=%27A%2BB%26C%23%27",
		"mysql://u@h/db?init=a%20b+c#d%C3%A9": "u@tcp(h:3306)/db?timeout=10s&init=a+b+c%23d%C3%A9",
	} {
		config, err := parse(url)
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		if got := config.FormatDSN(); got != want {
			t.Errorf("%q became %q, want %q", url, got, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	enginetest.OpenRefuses(t, Open, map[string]string{
		"":                                     "begin with",
		"mysql:u:hunter2@h/db":                 "begin with",
		"msyql://u:hunter2@h/db":               "mysql://",
		"mysql://u:hunter2@h":                  "no database",
		"mysql://u:hunter2@:1/db":              "no host",
		"mysql://u:hunter2@h?a=/b":             "names no database",
		"mysql://u:hunter2@h(h:1)x/db":         "",
		"mysql://u:12/hunter2@h/db":            "percent-encoded",
		"mysql://u:hunter2@h:port/db":          "percent-encoded",
		"mysql://u:hun%zzter2@h/db":            "percent-encoded",
		"mysql://u:hun%zzter2@tcp(h:1)/db":     "percent-encoding",
		"mysql://u:hunter2@tcp(h:1)":           "",
		"mysql://u:hunter2@h/db?strict=true":   "strict",
		"mysql://u:hunter2@h/db?parseTime=x":   "bool",
		"mysql://u:hunter2@h/db?timeout=3":     "timeout",
		"mysql://u:hunter2@h/db?tls=unknown":   "unknown",
		"mysql://u:hunter2@h/db?x-tls-ca=file": "golang-migrate",
	})
}

// Any URL is opened or refused without a panic.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"mysql://u:p@h:1/db?strict=1", "mysql://u:p@tcp(h:1)/db?a=)?strict=1", "mysql://@()/?&", "mysql://a(b)/c?tls=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if db, err := Open(url); err == nil {
			_ = db.Close()
		} else if !errors.Is(err, dialect.ErrInvalid) {
			t.Errorf("%q: %v isn't ErrInvalid", url, err)
		}
	})
}
