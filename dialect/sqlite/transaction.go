package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
)

// A goroutine that has a transaction open and requests a lock waits for itself. SQLite can't detect
// this: its reply is the same as for the transactions of others, which end. So the connections of
// pools from Open record which transactions have the write lock, which goroutine began them, and
// where. There is at most one for each file.

// writer is an open transaction of this process that has the write lock of a file.
type writer struct {
	file       string
	goroutine  uint64 // the goroutine that began it; 0 if unknown
	began      time.Time
	callers    []uintptr
	statements atomic.Int64 // sent in it so far
	ended      chan struct{}
}

// openWriters are those of the whole process. Pools that share a file share its write lock, too.
var openWriters struct {
	sync.Mutex
	all   map[*writer]struct{}
	count atomic.Int64 // for frequent checks, most of which find nothing
}

func (w *writer) open() {
	openWriters.Lock()
	defer openWriters.Unlock()
	if openWriters.all == nil {
		openWriters.all = make(map[*writer]struct{})
	}
	openWriters.all[w] = struct{}{}
	openWriters.count.Store(int64(len(openWriters.all)))
}

func (w *writer) end() {
	openWriters.Lock()
	defer openWriters.Unlock()
	delete(openWriters.all, w)
	openWriters.count.Store(int64(len(openWriters.all)))
	close(w.ended)
}

// findWriters returns the open writers that match.
func findWriters(matches func(*writer) bool) (found []*writer) {
	if openWriters.count.Load() == 0 {
		return nil
	}
	openWriters.Lock()
	defer openWriters.Unlock()
	for w := range openWriters.all {
		if matches(w) {
			found = append(found, w)
		}
	}
	return found
}

// String says where the transaction began, and when.
func (w *writer) String() string {
	where := ""
	frames := runtime.CallersFrames(w.callers)
	for more := len(w.callers) > 0; more; {
		var f runtime.Frame
		if f, more = frames.Next(); !internalFrame(f.Function) {
			where = fmt.Sprintf(" at %s:%d", f.File, f.Line)
			break
		}
	}
	return fmt.Sprintf("began%s %s ago", where, time.Since(w.began).Round(time.Millisecond))
}

// internalFrame reports whether a function lies between the caller of BeginTx and the connection.
func internalFrame(function string) bool {
	return strings.HasPrefix(function, "database/sql.") || strings.Contains(function, "dialect/sqlite.(*noting")
}

// goroutineID returns the number of the calling goroutine, which only its stack trace shows. It
// only decides whether to refuse a call that would wait for ever. It returns 0 if the number isn't
// where all versions of Go so far have put it.
func goroutineID() uint64 {
	var trace [64]byte
	text, _ := bytes.CutPrefix(trace[:runtime.Stack(trace[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	id, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// driverConn has all methods of a connection of modernc.org/sqlite, for callers of sql.Conn.Raw.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator

	sqlite.AuthorizerRegisterer
	sqlite.DBStatus
	sqlite.FileControl
	sqlite.HookRegisterer
	ColumnInfo(query string) ([]sqlite.ColumnInfo, error)
	Deserialize(buf []byte) error
	IsReadOnly(schema string) (bool, error)
	NewBackup(dstURI string) (*sqlite.Backup, error)
	NewRestore(srcURI string) (*sqlite.Backup, error)
	Serialize() ([]byte, error)
}

// trackedConn tracks its transactions that have the write lock. Like each driver.Conn it is used by
// one goroutine at a time.
type trackedConn struct {
	driverConn
	file   string
	writer *writer // nil if there is none
}

// track wraps conn so that its transactions are tracked. Transactions of the pool begin IMMEDIATE
// or EXCLUSIVE, and so as writers.
func track(conn driver.Conn, path string) driver.Conn {
	full, ok := conn.(driverConn)
	file, err := filepath.Abs(path)
	if !ok || err != nil {
		return conn
	}
	return &trackedConn{driverConn: full, file: file}
}

// BeginTx begins a transaction, and tracks it.
func (c *trackedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.driverConn.BeginTx(ctx, opts)
	if err != nil || opts.ReadOnly { // a read-only transaction begins without a lock
		return tx, err
	}
	w := &writer{file: c.file, goroutine: goroutineID(), began: time.Now(), ended: make(chan struct{})}
	var callers [16]uintptr
	w.callers = callers[:runtime.Callers(2, callers[:])]
	w.open()
	c.writer = w
	return &trackedTx{Tx: tx, conn: c}, nil
}

// PrepareContext is the driver's.
func (c *trackedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.used()
	return c.driverConn.PrepareContext(ctx, query)
}

// ExecContext is the driver's.
func (c *trackedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.used()
	return c.driverConn.ExecContext(ctx, query, args)
}

// QueryContext is the driver's.
func (c *trackedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.used()
	return c.driverConn.QueryContext(ctx, query, args)
}

func (c *trackedConn) used() {
	if c.writer != nil {
		c.writer.statements.Add(1)
	}
}

// Close is the driver's. It ends a transaction that is open.
func (c *trackedConn) Close() error {
	err := c.driverConn.Close()
	c.ended()
	return err
}

func (c *trackedConn) ended() {
	if c.writer != nil {
		c.writer.end()
		c.writer = nil
	}
}

// trackedTx is a transaction of a trackedConn. When a Commit fails, the driver rolls the
// transaction back.
type trackedTx struct {
	driver.Tx
	conn *trackedConn
}

// Commit is the driver's.
func (t *trackedTx) Commit() error {
	defer t.conn.ended()
	return t.Tx.Commit()
}

// Rollback is the driver's.
func (t *trackedTx) Rollback() error {
	defer t.conn.ended()
	return t.Tx.Rollback()
}

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if a == b {
		return true
	}
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
