package main

import (
	"strings"

	"github.com/sqllock/sqllock/internal/cli"
)

// The engines whose SQL grants and guard-sql print.
const (
	postgres  = "postgres"
	mysql     = "mysql"
	sqlserver = "sqlserver"
	sqlite    = "sqlite"
)

var engineNames = []string{postgres, mysql, "mariadb", sqlserver, sqlite}

// engineOf returns the engine that an argument or the scheme of a URL names.
func engineOf(name string) (string, error) {
	switch strings.ToLower(name) {
	case "postgres", "postgresql":
		return postgres, nil
	case "mysql", "mariadb":
		return mysql, nil
	case "sqlserver", "mssql":
		return sqlserver, nil
	case "sqlite", "sqlite3":
		return sqlite, nil
	}
	return "", cli.Usagef("there is no engine %q; there are %s", name, strings.Join(engineNames, ", "))
}

// literal returns a text as a literal of the engine.
func literal(engine, text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	switch engine {
	case mysql: // a backslash escapes what follows, unless a mode of the server says otherwise: hex has none
		if strings.ContainsAny(text, `\'`) {
			return "CONVERT(X'" + hex(text) + "' USING utf8mb4)"
		}
	case sqlserver:
		return "N" + quoted
	case postgres: // standard_conforming_strings may be off
		if strings.Contains(text, `\`) {
			return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
		}
	}
	return quoted
}

func hex(text string) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, 2*len(text))
	for _, b := range []byte(text) {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// identifier returns a name as a quoted identifier of the engine.
func identifier(engine, name string) string {
	switch engine {
	case mysql:
		return "`" + strings.ReplaceAll(name, "`", "``") + "`"
	case sqlserver:
		return "[" + strings.ReplaceAll(name, "]", "]]") + "]"
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
