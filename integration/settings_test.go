package integration

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
)

// The settings below change the format of texts, or the meaning of a statement. Each has its most
// troublesome value. Nothing may depend on them.

// mysqlModes are the SQL modes that both MySQL and MariaDB know.
const mysqlModes = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE," +
	"NO_UNSIGNED_SUBTRACTION,PAD_CHAR_TO_FULL_LENGTH,REAL_AS_FLOAT,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"

var postgresSettings = map[string]string{
	"bytea_output":                "escape",
	"DateStyle":                   "SQL, DMY",
	"IntervalStyle":               "postgres_verbose",
	"TimeZone":                    "Asia/Kathmandu",
	"client_encoding":             "LATIN1",
	"standard_conforming_strings": "off",
	"backslash_quote":             "off",
	"array_nulls":                 "off",
	"transform_null_equals":       "on",
	"extra_float_digits":          "-15",
	"quote_all_identifiers":       "on",
	"client_min_messages":         "debug1",
	"plan_cache_mode":             "force_generic_plan",
	"xmloption":                   "document",
	"row_security":                "off",
	"lc_messages":                 "C",
	"lc_monetary":                 "C",
	"lc_numeric":                  "C",
	"lc_time":                     "C",
}

// TestPostgresSettings runs the conformance suite on databases with other settings, with statements
// that aren't prepared, for which the server returns results as text.
func TestPostgresSettings(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "postgres15")
	dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
		return harnessThrough(t, server, func(t *testing.T, url string) string {
			setPostgres(t, url)
			return withParameters(url, "default_query_exec_mode=exec")
		})
	})
}

// setPostgres changes the settings of the database.
func setPostgres(t *testing.T, rawURL string) {
	t.Helper()
	target := connect(t, rawURL)
	for name, value := range postgresSettings {
		execute(t, target, fmt.Sprintf(
			"DO $$BEGIN EXECUTE format('ALTER DATABASE %%I SET %s = ''%s''', current_database()); END$$",
			name, strings.ReplaceAll(value, ", ", "'', ''")))
	}
}

// TestPostgresSimpleProtocol checks that a result is the same in every query mode, whatever
// bytea_output is set to.
func TestPostgresSimpleProtocol(t *testing.T) {
	t.Parallel()
	url := database(t, servers.Start(t, "postgres15"))
	target := connect(t, url)
	execute(t, target,
		"DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET bytea_output = escape', current_database()); END$$")
	for _, mode := range []string{"simple_protocol", "exec", "cache_describe", "describe_exec", "cache_statement"} {
		d := connect(t, withParameters(url, "default_query_exec_mode="+mode)).Dialect
		if _, err := d.Probe(t.Context()); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		want := []byte("\x00\\x\\\\'\"é\xff")
		done := dialect.Done{Name: mode, Result: want, Keep: time.Hour}
		for range 2 {
			got, err := d.Remember(t.Context(), []dialect.Done{done})
			if err != nil || !bytes.Equal(got[0].Result, want) {
				t.Errorf("%s: %+v, %v", mode, got, err)
			}
			done.Result = []byte("another")
		}
	}
}

// TestPostgresEncoding checks that a pool with another client_encoding is refused: the server would
// convert the names, so that its sessions would take other locks than the rest.
func TestPostgresEncoding(t *testing.T) {
	t.Parallel()
	url := database(t, servers.Start(t, "postgres15"))
	_, err := connect(t, withParameters(url, "client_encoding=LATIN1")).Dialect.Probe(t.Context())
	if !errors.Is(err, dialect.ErrInvalid) || !strings.Contains(err.Error(), "client_encoding=UTF8") {
		t.Error(err)
	}
}

// TestMySQLSettings runs the conformance suite on pools with other settings, on databases with
// another character set.
func TestMySQLSettings(t *testing.T) {
	once := map[string]string{"driver": "mysql", "server": "mariadb"} // in make test
	own := map[string]string{
		"mysql":   mysqlModes + ",TIME_TRUNCATE_FRACTIONAL",
		"mariadb": mysqlModes + ",TIME_ROUND_FRACTIONAL,SIMULTANEOUS_ASSIGNMENT",
	}
	for variant, parameters := range map[string][]string{
		// How the driver converts values, and statements that are never prepared.
		"driver": {
			"clientFoundRows=true", "interpolateParams=true", "parseTime=true", "loc=Local",
			"collation=utf8mb4_general_ci", "transaction_isolation='SERIALIZABLE'",
		},
		"server": {
			"transaction_isolation='READ-COMMITTED'", "time_zone='%2B05:45'", "lc_time_names='de_DE'",
			"sql_auto_is_null=1", "div_precision_increment=0", "group_concat_max_len=4",
		},
	} {
		for _, engine := range []string{"mysql", "mariadb"} {
			if !long.Enabled && once[variant] != engine {
				continue
			}
			t.Run(engine+"/"+variant, func(t *testing.T) {
				t.Parallel()
				server := servers.Start(t, engine)
				set := append([]string{"sql_mode='" + own[engine] + "'"}, parameters...)
				dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
					url := server.Database(t)
					execute(t, connect(t, url), "ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_german1_ci")
					prepare(t, url)
					h := harness(t, server)
					my := newMyBench(t, engine, url)
					h.DB = my.open(set...)
					h.Dialect = my.dialect(h.DB, set...)
					h.EndSessions = func(t *testing.T) { endSessions(t, connect(t, my.url)) }
					h.Open = func(*testing.T) *sql.DB { return my.open(set...) }
					return h
				})
			})
		}
	}
}

// TestSQLiteSettings runs the conformance suite with pragmas and with parameters of the driver.
func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "sqlite")
	dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
		return harnessThrough(t, server, func(_ *testing.T, url string) string {
			return withParameters(url, "_pragma=case_sensitive_like(1)", "_pragma=reverse_unordered_selects(1)",
				"_pragma=full_column_names(1)", "_pragma=short_column_names(0)", "_pragma=recursive_triggers(1)",
				"_pragma=automatic_index(0)", "_pragma=trusted_schema(0)", "_pragma=read_uncommitted(1)",
				"_pragma=foreign_keys(1)", "_time_format=sqlite", "_inttotime=1", "_texttotime=1",
				"_time_integer_format=unix_milli", "_dqs=0")
		})
	})
}

// withParameters adds parameters to a URL's query, and escapes them. A driver that unescapes values
// itself, as MySQL's does, needs values that are escaped already.
func withParameters(rawURL string, parameters ...string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	query := u.Query()
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		query.Add(name, value)
	}
	u.RawQuery = query.Encode()
	return u.String()
}
