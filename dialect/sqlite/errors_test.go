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
		{nil, dialect.Unknown},
		{errors.New("something else"), dialect.Unknown},
		{context.Canceled, dialect.Unknown},
		{context.DeadlineExceeded, dialect.Unknown},
		{sql.ErrTxDone, dialect.Permanent},
		{sql.ErrConnDone, dialect.Permanent},
		{driver.ErrBadConn, dialect.Transient},
		{dialect.ErrInvalid, dialect.Permanent},
		{dialect.ErrUnsupported, dialect.Permanent},

		{coded{5, "database is locked"}, dialect.Transient},
		{coded{5 | 2<<8, "SQLITE_BUSY_SNAPSHOT"}, dialect.Transient},
		{coded{6 | 1<<8, "SQLITE_LOCKED_SHAREDCACHE"}, dialect.Transient},
		{coded{8, "attempt to write a readonly database"}, dialect.ReadOnly},
		{coded{8 | 4<<8, "SQLITE_READONLY_DBMOVED"}, dialect.ReadOnly},
		{coded{1, "SQL logic error: no such table: sqllock_locks"}, dialect.NoSchema},
		{coded{1, "SQL logic error: no such column: fence"}, dialect.NoSchema},
		{coded{1, "SQL logic error: table sqllock_locks has no column named note"}, dialect.NoSchema},
		{coded{1, "SQL logic error: near \"FROM\": syntax error"}, dialect.Permanent},
		{coded{19 | 6<<8, "UNIQUE constraint failed: no such table: x"}, dialect.Permanent},
		{coded{9, "interrupted"}, dialect.Unknown},
		{coded{10 | 4<<8, "disk I/O error: SQLITE_IOERR_FSYNC"}, dialect.Unknown},
		{coded{13, "database or disk is full"}, dialect.Permanent},
		{coded{14, "unable to open database file"}, dialect.Permanent},
		{coded{26, "file is not a database"}, dialect.Permanent},
		{coded{0, ""}, dialect.Unknown},
		{coded{255, ""}, dialect.Unknown},
		{coded{-1, ""}, dialect.Unknown},

		// As other drivers word them, without a code.
		{errors.New("database is locked"), dialect.Transient},
		{errors.New("database table is locked: sqllock_locks"), dialect.Transient},
		{errors.New("attempt to write a readonly database"), dialect.ReadOnly},
		{errors.New("no such table: sqllock_locks"), dialect.NoSchema},
		{errors.New("table sqllock_locks has no column named note"), dialect.NoSchema},
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

// FuzzClassify: whatever a driver says, Classify doesn't panic, answers one of the classes, and goes by the code before
// it goes by the words.
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
		if class < dialect.Unknown || class > dialect.ReadOnly {
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
