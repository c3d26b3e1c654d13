package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
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

// words are SQLite's own messages for the codes that matter most, for drivers whose errors have no
// Code method.
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

// Classify returns what an error of this dialect means for the request. It uses SQLite's result
// code, and the message only for what the code doesn't tell: a missing table has the same code as a
// mistake in the SQL.
func (d *Dialect) Classify(err error) dialect.Class {
	if err == nil {
		return dialect.ClassUnknown
	}
	if errors.As(err, new(*undoneError)) {
		if class := classify(err); class != dialect.ClassUnknown {
			return class
		}
		return dialect.ClassTransient
	}
	return classify(err)
}

func classify(err error) dialect.Class {
	if code, ok := codeOf(err); ok {
		return classifyCode(code, err.Error())
	}
	switch {
	case errors.Is(err, dialect.ErrInvalid), errors.Is(err, dialect.ErrUnsupported),
		errors.Is(err, sql.ErrTxDone), errors.Is(err, sql.ErrConnDone), errors.Is(err, engine.ErrDBClosed()):
		return dialect.ClassPermanent
	case errors.Is(err, driver.ErrBadConn), // the driver promises that nothing was carried out
		errors.Is(err, engine.ErrBusy), errors.As(err, new(*busyError)):
		return dialect.ClassTransient
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return dialect.ClassUnknown
	}
	if code, ok := worded(err); ok {
		return classifyCode(code, err.Error())
	}
	return dialect.ClassUnknown
}

func worded(err error) (code int, ok bool) {
	for _, w := range words {
		if strings.Contains(err.Error(), w.text) {
			return w.code, true
		}
	}
	return 0, false
}

// isBusy reports whether another connection has the lock and may release it.
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

// isStale reports whether a transaction reads an outdated snapshot, and so can't write any more.
func isStale(err error) bool {
	var e interface{ Code() int }
	return errors.As(err, &e) && e.Code() == codeBusySnapshot
}

// codeOf returns the primary result code in an error: the low byte. The other bytes give details.
func codeOf(err error) (code int, ok bool) {
	var e interface{ Code() int }
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code() & 0xff, true
}

// classifyCode classifies by the primary code. A statement that fails is undone as a whole, so
// nothing happened if the code says that the statement failed. It is unknown if the disk failed, or
// if the driver interrupted a statement that may have ended.
func classifyCode(code int, message string) dialect.Class {
	switch code {
	case codeBusy, codeLocked, codeProtocol, codeSchema:
		return dialect.ClassTransient
	case codeReadOnly:
		return dialect.ClassReadOnly
	case codeError:
		for _, missing := range []string{"no such table: ", "no such column: ", "has no column named "} {
			if strings.Contains(message, missing) {
				return dialect.ClassNoSchema
			}
		}
		return dialect.ClassPermanent
	case codePerm, codeCorrupt, codeFull, codeCantOpen, codeTooBig, codeConstraint, codeMismatch, codeMisuse, codeNoLFS,
		codeAuth, codeRange, codeNotADB:
		return dialect.ClassPermanent
	}
	return dialect.ClassUnknown
}
