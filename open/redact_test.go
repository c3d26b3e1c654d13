package open

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/sqllock/sqllock/dialect/mysql/mysqldsn"
)

// passwords returns what the driver of a URL's engine takes for its password.
func passwords(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	switch strings.ToLower(scheme) {
	case "postgres", "postgresql", "pgx", "pgx5":
		if config, err := pgx.ParseConfig("postgres://" + rest); err == nil {
			return config.Password
		}
	case "mysql", "mariadb":
		if u, err := mysqldsn.Cut(url); err == nil {
			if config, err := u.Config(); err == nil {
				return config.Passwd
			}
		}
	case "sqlserver", "mssql":
		if config, err := msdsn.Parse("sqlserver://" + rest); err == nil {
			return config.Password
		}
	case url: // libpq's key=value
		if config, err := pgx.ParseConfig(url); err == nil {
			return config.Password
		}
	}
	return ""
}

var marks = []string{"QUIETWORD", "SHYSYLLABLE"}

// FuzzRedact checks that neither Redact nor an error about the URL shows what the driver takes for
// a password, wherever it is.
func FuzzRedact(f *testing.F) {
	for _, seed := range []string{
		"postgres://u:pw@h/db?password=QUIETWORD@SHYSYLLABLE",
		"postgres://u:QUIETWORD?a=b@h/d?password=SHYSYLLABLE&x=y@z",
		"postgres://h:1/d?user=u&pass%77ord=QUIETWORD%26SHYSYLLABLE&sslmode=x",
		"pgx5://QUIETWORD@h?password=SHYSYLLABLE;&a=b",
		"mysql://u:QUIETWORD/SHYSYLLABLE@tcp(h:1)/d?a=b", "mysql://u:QUIETWORD?a=b/SHYSYLLABLE@(h)/d",
		"mariadb://u:QUIETWORD@h:3/d?tls=SHYSYLLABLE",
		"mysql://:QUIETWORD@/?SHYSYLLABLE", "sqlserver://u:QUIETWORD@h?password=SHYSYLLABLE",
		"sqlserver://h?password=QUIETWORD b=SHYSYLLABLE&user+id=u",
		"mssql://u@h?database=d&PWD=QUIETWORD&Password=SHYSYLLABLE", "host=h password = QUIETWORD\\ SHYSYLLABLE",
		"password='QUIETWORD' user='SHYSYLLABLE'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		password, redacted := passwords(url), Redact(url)
		errs := refusals(url)
		for _, mark := range marks {
			if !strings.Contains(password, mark) || strings.Count(url, mark) != 1 {
				continue
			}
			if strings.Contains(redacted, mark) {
				t.Errorf("Redact(%q) = %q, and the driver takes %q for the password", url, redacted, password)
			}
			if strings.Contains(errs, mark) {
				t.Errorf("%q: the driver takes %q for the password, and the error is: %s", url, password, errs)
			}
		}
	})
}

// refusals returns the errors of all functions that read a URL.
func refusals(url string) (text string) {
	if database, err := URL(url); err == nil {
		_ = database.DB.Close()
	} else {
		text += err.Error()
	}
	if engine, err := Migrations(url); err == nil {
		if _, err := engine.Parse(url); err != nil {
			text += err.Error()
		}
	}
	return text
}
