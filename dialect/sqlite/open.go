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

	"github.com/sqllock/sqllock/internal/dburl"
)

// parameters that modernc.org/sqlite or SQLite itself understands; both pass over others without a word.
var parameters = strings.Fields(`_pragma _busy_timeout _timeout _foreign_keys _fk _journal_mode _journal
	_synchronous _sync _auto_vacuum _vacuum _query_only _time_format _time_integer_format _inttotime _texttotime
	_timezone _txlock _dqs _defensive _error_rc vfs mode cache immutable nolock psow modeof`)

// Open is a *sql.DB for a URL like sqlite:///abs/path.db, sqlite://rel/path.db or sqlite3:// the same, through
// modernc.org/sqlite, whose parameters are all understood. Where the URL doesn't say otherwise, a statement waits
// up to 5 s for another's (_busy_timeout, in milliseconds), and the journal is a write-ahead log, so that readers
// and the writer don't bar each other. Transactions begin IMMEDIATE: one that becomes a writer half-way fails at once
// under contention, so _txlock=deferred is refused.
//
// It doesn't open the file: a directory that isn't there shows at the first use. A database in memory is refused, since
// every connection would have one of its own. An error wraps dialect.ErrInvalid. The caller closes the *sql.DB.
func Open(rawURL string) (*sql.DB, error) {
	path, query, err := cut(rawURL)
	if err != nil {
		return nil, err
	}
	if problem := check(path, query); problem != "" {
		return nil, dburl.Invalid(rawURL, "%s", problem)
	}
	setDefaults(query)
	file := "file:"
	if strings.HasPrefix(path, "/") {
		file = "file://"
	}
	c, err := sqlite.NewConnector(file + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode())
	if err != nil {
		return nil, dburl.Invalid(rawURL, "%v", err)
	}
	return sql.OpenDB(connector{c}), nil
}

// cut takes a URL apart.
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

// Missing is the file that a URL for Open names, if there is none, so that the first use would make it. An error wraps
// dialect.ErrInvalid.
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

// check says what is wrong with the path or a parameter.
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

// setDefaults adds the settings that make locking safe, where the URL has none. A read-only database keeps its
// journal: changing that is a write.
func setDefaults(query url.Values) {
	if !query.Has("_txlock") {
		query.Set("_txlock", "immediate")
	}
	if !query.Has("_error_rc") {
		query.Set("_error_rc", "1") // else a missing folder is reported as "out of memory"
	}
	if !has(query, "busy_timeout", "_busy_timeout", "_timeout") {
		query.Set("_busy_timeout", "5000")
	}
	readOnly := query.Get("mode") == "ro" || query.Has("immutable") || query.Has("_query_only")
	if !readOnly && !has(query, "journal_mode", "_journal_mode", "_journal") {
		query.Set("_journal_mode", "WAL")
	}
}

// has tells whether a pragma is set, under one of its names or as a _pragma.
func has(query url.Values, pragma string, names ...string) bool {
	if slices.ContainsFunc(names, query.Has) {
		return true
	}
	return slices.ContainsFunc(query["_pragma"], func(p string) bool {
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(p)), pragma)
	})
}
