package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// SQLite's primary result codes, as in https://sqlite.org/rescode.html.
const (
	codeError      = 1
	codePerm       = 3
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeProtocol   = 15
	codeSchema     = 17
	codeTooBig     = 18
	codeConstraint = 19
	codeMismatch   = 20
	codeMisuse     = 21
	codeNoLFS      = 22
	codeAuth       = 23
	codeRange      = 25
	codeNotADB     = 26

	codeBusySnapshot = codeBusy | 2<<8
)

// words are SQLite's own for the codes that matter most, for drivers whose errors have no Code method.
var words = []struct {
	text string
	code int
}{
	{"database is locked", codeBusy},
	{"database table is locked", codeLocked},
	{"attempt to write a readonly database", codeReadOnly},
	{"no such table: ", codeError},
	{"no such column: ", codeError},
	{"has no column named ", codeError},
}

// Classify says what an error of this dialect means for what was asked. It goes by SQLite's result code. Only what
// the code doesn't tell is read from the message: a missing table has the same code as a mistake in the SQL.
func (d *Dialect) Classify(err error) dialect.Class {
	if err == nil {
		return dialect.Unknown
	}
	if code, ok := codeOf(err); ok {
		return classifyCode(code, err.Error())
	}
	switch {
	case errors.Is(err, dialect.ErrInvalid), errors.Is(err, dialect.ErrUnsupported),
		errors.Is(err, sql.ErrTxDone), errors.Is(err, sql.ErrConnDone), errors.Is(err, engine.ErrDBClosed()):
		return dialect.Permanent
	case errors.Is(err, driver.ErrBadConn), // a driver's promise that nothing was carried out
		errors.Is(err, engine.ErrBusy), errors.As(err, new(*notBegunError)):
		return dialect.Transient
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return dialect.Unknown
	}
	if code, ok := worded(err); ok {
		return classifyCode(code, err.Error())
	}
	return dialect.Unknown
}

func worded(err error) (code int, ok bool) {
	for _, w := range words {
		if strings.Contains(err.Error(), w.text) {
			return w.code, true
		}
	}
	return 0, false
}

// isBusy tells whether another has the lock, and won't have it for ever.
func isBusy(err error) bool {
	if err == nil || isStale(err) {
		return false
	}
	code, ok := codeOf(err)
	if !ok {
		code, ok = worded(err)
	}
	return ok && (code == codeBusy || code == codeLocked)
}

// isStale tells whether a transaction sees less than has been committed, and so can't write any more.
func isStale(err error) bool {
	var e interface{ Code() int }
	return errors.As(err, &e) && e.Code() == codeBusySnapshot
}

// codeOf is the primary result code in an error: the low byte, the rest tells details.
func codeOf(err error) (code int, ok bool) {
	var e interface{ Code() int }
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code() & 0xff, true
}

// classifyCode goes by the primary code. A statement that fails is undone as a whole, so where the code tells that
// the statement failed, nothing happened; it is unknown where the disk failed, or the driver interrupted a statement
// that may have ended.
func classifyCode(code int, message string) dialect.Class {
	switch code {
	case codeBusy, codeLocked, codeProtocol, codeSchema:
		return dialect.Transient
	case codeReadOnly:
		return dialect.ReadOnly
	case codeError:
		for _, missing := range []string{"no such table: ", "no such column: ", "has no column named "} {
			if strings.Contains(message, missing) {
				return dialect.NoSchema
			}
		}
		return dialect.Permanent
	case codePerm, codeCorrupt, codeFull, codeCantOpen, codeTooBig, codeConstraint, codeMismatch, codeMisuse, codeNoLFS,
		codeAuth, codeRange, codeNotADB:
		return dialect.Permanent
	}
	return dialect.Unknown
}
