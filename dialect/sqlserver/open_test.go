package sqlserver

import (
	"errors"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

func TestOpenSettings(t *testing.T) {
	type settings struct {
		host, instance string
		port           uint64
		database       string
		password       string
		application    string
		timeout        time.Duration
	}
	for url, want := range map[string]settings{
		"sqlserver://u:p%40s%2Fs@h:1444?database=d": {"h", "", 1444, "d", "p@s/s", "sqllock", 10 * time.Second},
		"mssql://u@h/express?Database=d":            {"h", "express", 0, "d", "", "sqllock", 10 * time.Second},
		"SQLServer://u:p@[::1]:1?database=d&App+Name=a&dial+timeout=3&encrypt=disable": {
			"::1", "", 1, "d", "p", "a", 3 * time.Second,
		},
	} {
		config, err := parse(url)
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		got := settings{
			config.Host, config.Instance, config.Port, config.Database, config.Password, config.AppName,
			config.DialTimeout,
		}
		if got != want {
			t.Errorf("%q became %+v, want %+v", url, got, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	enginetest.OpenRefuses(t, Open, map[string]string{
		"":                                                  "begin with",
		"sqlserver:u:hunter2@h?database=d":                  "begin with",
		"sqlsrever://u:hunter2@h?database=d":                "sqlserver://",
		"sqlserver://u:hunter2@h:1":                         "no database",
		"sqlserver://u:hunter2@h:1/db":                      "?database=db",
		"sqlserver://u:hunter2@?database=d":                 "no host",
		"sqlserver://u:hunter2@h:port?database=d":           "percent-encoded",
		"sqlserver://u:hun%zzter2@h?database=d":             "percent-encoded",
		"sqlserver://h?database=d&user+id=u&pass%77ord=a%z": "",
		"sqlserver://u:hunter2@h?database=d&Database=e":     "database more than once",
		"sqlserver://u:hunter2@h?database=d&database=e":     "database more than once",
		"sqlserver://u:hunter2@h?database=d&encrypt=maybe":  "encrypt",
		"sqlserver://u:hunter2@h?database=d&dial+timeout=x": "dial timeout",
		"sqlserver://u:hunter2@h?database=d&x-a=b":          "golang-migrate",
		"sqlserver://u:hunter2@h?database=d&app+name=a#b":   "%23",
	})
}

// Any URL is opened or refused without a panic.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"sqlserver://u:p@h:1?database=d&encrypt=strict", "mssql://@h/i?database=d&protocol=np",
		"sqlserver://h?database=d;&log=x",
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
