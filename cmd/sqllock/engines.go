package main

import (
	"strings"

	"github.com/sqllock/sqllock/internal/cli"
)

// The engines whose SQL grants and guard-sql print.
const (
	enginePostgres  = "postgres"
	engineMySQL     = "mysql"
	engineSQLServer = "sqlserver"
	engineSQLite    = "sqlite"
)

var engineNames = []string{enginePostgres, engineMySQL, "mariadb", engineSQLServer, engineSQLite}

// engineOf returns the engine that an argument or the scheme of a URL names.
func engineOf(name string) (string, error) {
	switch strings.ToLower(name) {
	case "postgres", "postgresql":
		return enginePostgres, nil
	case "mysql", "mariadb":
		return engineMySQL, nil
	case "sqlserver", "mssql":
		return engineSQLServer, nil
	case "sqlite", "sqlite3":
		return engineSQLite, nil
	}
	return "", cli.Usagef("there is no engine %q; there are %s", name, strings.Join(engineNames, ", "))
}

// literal returns a text as a literal of the engine.
func literal(engine, text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	switch engine {
	case engineMySQL: // a backslash escapes what follows, unless a mode of the server says otherwise: hex has none
		if strings.ContainsAny(text, `\'`) {
			return "CONVERT(X'" + hex(text) + "' USING utf8mb4)"
		}
	case engineSQLServer:
		return "N" + quoted
	case enginePostgres: // standard_conforming_strings may be off
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
	case engineMySQL:
		return "`" + strings.ReplaceAll(name, "`", "``") + "`"
	case engineSQLServer:
		return "[" + strings.ReplaceAll(name, "]", "]]") + "]"
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
