package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// coded is an error as modernc.org/sqlite makes them.
type coded struct {
	code int
	text string
}

func (e coded) Error() string { return fmt.Sprintf("%s (%d)", e.text, e.code) }
func (e coded) Code() int     { return e.code }

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want dialect.Class
	}{
		{nil, dialect.ClassUnknown},
		{errors.New("something else"), dialect.ClassUnknown},
		{context.Canceled, dialect.ClassUnknown},
		{context.DeadlineExceeded, dialect.ClassUnknown},
		{sql.ErrTxDone, dialect.ClassPermanent},
		{sql.ErrConnDone, dialect.ClassPermanent},
		{driver.ErrBadConn, dialect.ClassTransient},
		{dialect.ErrInvalid, dialect.ClassPermanent},
		{dialect.ErrUnsupported, dialect.ClassPermanent},

		{coded{5, "database is locked"}, dialect.ClassTransient},
		{coded{5 | 2<<8, "SQLITE_BUSY_SNAPSHOT"}, dialect.ClassTransient},
		{coded{6 | 1<<8, "SQLITE_LOCKED_SHAREDCACHE"}, dialect.ClassTransient},
		{coded{8, "attempt to write a readonly database"}, dialect.ClassReadOnly},
		{coded{8 | 4<<8, "SQLITE_READONLY_DBMOVED"}, dialect.ClassReadOnly},
		{coded{1, "SQL logic error: no such table: sqllock_locks"}, dialect.ClassNoSchema},
		{coded{1, "SQL logic error: no such column: fence"}, dialect.ClassNoSchema},
		{coded{1, "SQL logic error: table sqllock_locks has no column named note"}, dialect.ClassNoSchema},
		{coded{1, "SQL logic error: near \"FROM\": syntax error"}, dialect.ClassPermanent},
		{coded{19 | 6<<8, "UNIQUE constraint failed: no such table: x"}, dialect.ClassPermanent},
		{coded{9, "interrupted"}, dialect.ClassUnknown},
		{coded{10 | 4<<8, "disk I/O error: SQLITE_IOERR_FSYNC"}, dialect.ClassUnknown},
		{coded{13, "database or disk is full"}, dialect.ClassPermanent},
		{coded{14, "unable to open database file"}, dialect.ClassPermanent},
		{coded{26, "file is not a database"}, dialect.ClassPermanent},
		{coded{0, ""}, dialect.ClassUnknown},
		{coded{255, ""}, dialect.ClassUnknown},
		{coded{-1, ""}, dialect.ClassUnknown},

		// as other drivers word them, without a code
		{errors.New("database is locked"), dialect.ClassTransient},
		{errors.New("database table is locked: sqllock_locks"), dialect.ClassTransient},
		{errors.New("attempt to write a readonly database"), dialect.ClassReadOnly},
		{errors.New("no such table: sqllock_locks"), dialect.ClassNoSchema},
		{errors.New("table sqllock_locks has no column named note"), dialect.ClassNoSchema},
	} {
		d := New(nil)
		if got := d.Classify(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
		if c.err == nil {
			continue
		}
		if got := d.Classify(fmt.Errorf("sqlite: acquire: %w", errors.Join(c.err))); got != c.want {
			t.Errorf("%v, wrapped: %s, want %s", c.err, got, c.want)
		}
	}
}

// FuzzClassify checks that Classify, for any error of a driver, doesn't panic, returns one of the
// classes, and prefers the code to the words.
func FuzzClassify(f *testing.F) {
	f.Add(true, 5, "database is locked")
	f.Add(true, 1, "SQL logic error: no such table: sqllock_locks (1)")
	f.Add(true, 1<<31-1, "")
	f.Add(false, 0, "no such column: fence")
	f.Fuzz(func(t *testing.T, hasCode bool, code int, text string) {
		d := New(nil)
		err := errors.New(text)
		if hasCode {
			err = coded{code, text}
		}
		class := d.Classify(err)
		if class < dialect.ClassUnknown || class > dialect.ClassReadOnly {
			t.Fatalf("%v: %s", err, class)
		}
		if wrapped := d.Classify(fmt.Errorf("x: %w", err)); wrapped != class {
			t.Errorf("%v: %s, wrapped %s", err, class, wrapped)
		}
		if hasCode && code&0xff != codeError && d.Classify(coded{code, ""}) != class {
			t.Errorf("%v: the message has changed the class to %s", err, class)
		}
	})
}
