package sqlite

import (
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"modernc.org/sqlite"

	"github.com/sqllock/sqllock/dialect/dburl"
)

// parameters are those that modernc.org/sqlite or SQLite itself understands. Both silently ignore
// others.
var parameters = strings.Fields(`_pragma _busy_timeout _timeout _foreign_keys _fk _journal_mode _journal
	_synchronous _sync _auto_vacuum _vacuum _query_only _time_format _time_integer_format _inttotime _texttotime
	_timezone _txlock _dqs _defensive _error_rc vfs mode cache immutable nolock psow modeof`)

// Open returns a *sql.DB for a URL like sqlite:///abs/path.db, sqlite://rel/path.db or
// sqlite3://path. It uses modernc.org/sqlite, and accepts all parameters of that driver. Unless the
// URL says otherwise, a statement waits up to 5 s for another one (_busy_timeout, in milliseconds),
// and the journal is a write-ahead log, so that readers and the writer don't block each other.
// Transactions begin IMMEDIATE. A transaction that becomes a writer half-way fails at once under
// contention, so _txlock=deferred is refused.
//
// The connections record which goroutine began the transaction that has the write lock, and where;
// this takes some ten microseconds for each. They have all methods of the driver's own connections,
// for callers of sql.Conn.Raw. Only the driver's function Limit doesn't accept them.
//
// Open doesn't open the file: a missing directory shows at the first use. It refuses a database in
// memory, since every connection would have one of its own. An error wraps [dialect.ErrInvalid].
// The caller closes the *sql.DB.
func Open(rawURL string) (*sql.DB, error) {
	path, query, err := cut(rawURL)
	if err != nil {
		return nil, err
	}
	if problem := check(path, query); problem != "" {
		return nil, dburl.Invalid(rawURL, "%s", problem)
	}
	c := settings(query)
	c.path = path
	file := "file:"
	if strings.HasPrefix(path, "/") {
		file = "file://"
	}
	c.Connector, err = sqlite.NewConnector(file + (&url.URL{Path: path}).EscapedPath() + "?" + encode(query))
	if err != nil {
		return nil, dburl.Invalid(rawURL, "%v", err)
	}
	return sql.OpenDB(c), nil
}

// encode encodes parameters with %20 for a space: SQLite doesn't decode a + to a space, and the
// driver does.
func encode(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }

// cut splits a URL into path and parameters.
func cut(rawURL string) (path string, query url.Values, err error) {
	rest, err := dburl.CutScheme(rawURL, "sqlite", "sqlite3")
	if err != nil {
		return "", nil, err
	}
	path, rawQuery, _ := strings.Cut(rest, "?")
	if path, err = url.PathUnescape(path); err != nil {
		return "", nil, dburl.Invalid(rawURL, "the path has a %% that isn't percent-encoding: write it as %%25")
	}
	if query, err = url.ParseQuery(rawQuery); err != nil {
		return "", nil, dburl.Invalid(rawURL, "%v", err)
	}
	return path, query, nil
}

// Missing returns the file that a URL for [Open] names if that file doesn't exist, so that the
// first use would create it. Otherwise it returns "". An error wraps [dialect.ErrInvalid].
func Missing(rawURL string) (file string, err error) {
	path, query, err := cut(rawURL)
	if err != nil || query.Has("vfs") {
		return "", err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return "", nil
}

// check returns what is wrong with the path or a parameter, or "".
func check(path string, query url.Values) (problem string) {
	switch {
	case path == "":
		return "it names no file: write sqlite:///abs/path.db or sqlite://rel/path.db"
	case strings.HasSuffix(path, "/"):
		return "it names a directory and no file in it"
	case strings.ContainsRune(path, 0):
		return "the path holds a zero byte"
	case path == ":memory:" || query.Get("mode") == "memory":
		return "a database in memory is another one for each connection: name a file"
	case strings.EqualFold(query.Get("_txlock"), "deferred"):
		return "_txlock=deferred makes transactions fail under contention: leave it out"
	}
	for _, name := range busyTimeouts {
		if ms, err := strconv.ParseInt(query.Get(name), 10, 32); query.Has(name) && (err != nil || ms < 0) {
			return name + " is " + strconv.Quote(query.Get(name)) + ", and must be a number of milliseconds"
		}
	}
	for name := range query {
		if strings.HasPrefix(name, "x-") {
			return name + " is a parameter of golang-migrate's, for migrations of your own only"
		}
		if !slices.Contains(parameters, name) {
			return "there is no parameter " + strconv.Quote(name) + "; known are " + strings.Join(parameters, ", ")
		}
	}
	return ""
}

// busyTimeouts are the names of the parameter for busy_timeout. If both are set, the driver uses
// the last.
var busyTimeouts = []string{"_busy_timeout", "_timeout"}

const defaultBusyTimeout = 5000

// settings adds what makes locking safe, where the URL doesn't say otherwise, and removes from it
// what the connector sets. A read-only database keeps its journal, since changing that is a write.
func settings(query url.Values) (c connector) {
	if !query.Has("_txlock") {
		query.Set("_txlock", "immediate")
	}
	if !query.Has("_error_rc") {
		query.Set("_error_rc", "1") // otherwise a missing directory is reported as "out of memory"
	}
	c.busyTimeout = defaultBusyTimeout
	if has(query, "busy_timeout") {
		c.busyTimeout = -1
	}
	for _, name := range busyTimeouts {
		if query.Has(name) && c.busyTimeout >= 0 {
			c.busyTimeout, _ = strconv.Atoi(query.Get(name)) // check has validated it
			query.Del(name)
		}
	}
	readOnly := query.Get("mode") == "ro" || query.Has("immutable") || query.Has("_query_only")
	c.wal = !readOnly && !has(query, "journal_mode", "_journal_mode", "_journal")
	return c
}

// has reports whether a pragma is set, under one of its names or as a _pragma.
func has(query url.Values, pragma string, names ...string) bool {
	if slices.ContainsFunc(names, query.Has) {
		return true
	}
	return slices.ContainsFunc(query["_pragma"], func(p string) bool {
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(p)), pragma)
	})
}
