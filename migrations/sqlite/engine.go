// Package sqlite contains sqllock's migrations for SQLite.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/internal/sqltext"
	"github.com/sqllock/sqllock/migrations"
)

//go:embed *.sql
var files embed.FS

// Engine is the [migrations.Engine] of SQLite: see [migrations.Up]. The run is one IMMEDIATE
// transaction, which also excludes other processes. golang-migrate's own lock for SQLite works only
// within the process.
var Engine = &migrations.Engine{
	Name:          "sqlite",
	Files:         files,
	Driver:        newDriver,
	TryLock:       tryLock,
	Unlock:        unlock,
	Transactional: true,
	History:       historyTable,
	Transaction: migrations.Transaction{
		Begin: "BEGIN IMMEDIATE", Commit: "COMMIT", Rollback: "ROLLBACK",
		Wrap: wrap, Busy: busy, Over: over,
	},
	// SQLite's own tables can't be dropped. Virtual tables come first, because dropping them drops
	// others.
	Drop: migrations.Drop{
		Tables: `SELECT '"' || replace(name, '"', '""') || '"' FROM sqlite_master
			WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC`,
		Before: "PRAGMA foreign_keys = OFF",
		After:  "VACUUM",
	},
	Syntax:   sqltext.SQLite,
	HasTable: "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?",
	Parse:    parse,
	Dialect:  func(db *sql.DB) dialect.Dialect { return sqlite.New(db) },
	Position: position,
	File:     true,
	Hint:     hint,
	Wait:     setWait,
}

func tryLock(ctx context.Context, conn *sql.Conn, _ string) (bool, error) {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	if busy(err) {
		return false, nil
	}
	return err == nil, err
}

// busy reports whether an error says that another connection is writing.
func busy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

// unlock commits. With a rollback journal the commit must wait for readers; no new reader can begin
// meanwhile.
func unlock(ctx context.Context, conn *sql.Conn, _ string) error {
	for {
		_, err := conn.ExecContext(ctx, "COMMIT")
		if err == nil || !busy(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// pause is the time between two attempts to commit, where SQLite doesn't wait by itself.
const pause = 10 * time.Millisecond

// setWait sets the connection's busy timeout to least, unless it is longer already.
func setWait(ctx context.Context, conn *sql.Conn, least time.Duration) error {
	var ms int64
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&ms); err != nil {
		return err
	}
	ms = min(max(ms, least.Milliseconds()), math.MaxInt32)
	_, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = "+strconv.FormatInt(ms, 10))
	return err
}

// wrap keeps a file that ends its transaction outside of one. golang-migrate begins one for each
// file as well.
func wrap(text string) migrations.Wrap {
	for _, s := range sqltext.Split(text, sqltext.SQLite) {
		ends := len(s.Words) > 0 && slices.Contains([]string{"COMMIT", "END"}, s.Words[0]) ||
			len(s.Words) > 0 && s.Words[0] == "ROLLBACK" && !slices.Contains(s.Words, "TO")
		if ends {
			why := fmt.Sprintf("%s in line %d ends a transaction", s.Words[0], sqltext.Line(text, s.Start))
			return migrations.Wrap{Text: text, Apart: why}
		}
	}
	return migrations.Wrap{Text: text}
}

// over reports whether an error says that there is no transaction. Some errors roll back the whole
// transaction.
func over(err error) bool { return strings.Contains(err.Error(), "no transaction is active") }

var token = regexp.MustCompile(`near "([^"]+)"|(?:no such table:|table|index|no such column:) "?(\w+)`)

// position finds the line by the name in SQLite's message, if that name is on one line only,
// because the driver doesn't pass on the position of an error.
func position(err error, text string) (line, column int) {
	match := token.FindStringSubmatch(err.Error())
	if match == nil {
		return 0, 0
	}
	for i, l := range strings.Split(text, "\n") {
		code, _, _ := strings.Cut(l, "--")
		at := wordIn(code, match[1]+match[2])
		if at < 0 {
			continue
		}
		if line > 0 {
			return 0, 0
		}
		line, column = i+1, utf8.RuneCountInString(code[:at])+1
	}
	return line, column
}

// wordIn returns the index of word in text, where it is not a part of a longer word, or -1. Neither
// must be valid UTF-8.
func wordIn(text, word string) int {
	for from := 0; word != ""; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return -1
		}
		at += from
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(word):])
		if !isWord(before) && !isWord(after) {
			return at
		}
		from = at + 1
	}
	return -1
}

// isWord reports whether \w in a regular expression matches r.
func isWord(r rune) bool {
	return r == '_' || r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
}
